"""A backup as it lies in storage: a folder with the leads, and a manifest that vouches for them.

::

    <CLOSE_BACKUP_URL>/<organization_id>/<flow_run_id>/
        manifest.json     what this is, how many leads, and the digest of the file beside it
        leads.jsonl.gz    one lead a line, as Close exported it
        report.json       how the run ended: counts and ids, no names

Storage is whatever fsspec reaches: a folder of this machine, or ``s3://…`` and the like where its driver is installed.
"""

import gzip
import hashlib
import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Self, cast

import fsspec  # pyright: ignore[reportMissingTypeStubs]
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.outcomes import Refused

VERSION = 1
MANIFEST, LEADS, REPORT = "manifest.json", "leads.jsonl.gz", "report.json"
CHUNK = 1 << 20  # bytes
OWN_FOLDER, OWN_FILE = 0o700, 0o600


class Manifest(BaseModel):
    """What vouches for a backup. The field names are a contract."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = VERSION
    organization_id: str
    flow_run_id: str
    as_of: str
    """The cut-off of the run, as Close writes instants."""
    digest: str
    """Of the organisation and the query, as in the run's plan."""
    s_query: dict[str, Any]
    leads: int
    """How many lines `leads.jsonl.gz` has."""
    sha256: str
    """Of `leads.jsonl.gz` as it lies in storage."""
    made_at: datetime
    keep_until: datetime
    """When the next run may delete it."""
    forgotten: tuple[str, ...] = ()
    """Ids of leads that were taken out since, at somebody's request."""


@dataclass(frozen=True)
class Archive:
    """One backup's folder."""

    fs: Any  # fsspec has no types
    path: str
    url: str

    @classmethod
    def at(cls, url: str) -> Self:
        """The folder at *url*, whether or not it is there. Raises `Refused` for storage that has no driver here."""
        try:
            fs, path = cast("tuple[Any, str]", fsspec.url_to_fs(url))  # pyright: ignore[reportUnknownMemberType]
        except (ImportError, ValueError) as error:
            raise Refused(f"The storage of {url} can't be used here: {error}") from None
        return cls(fs, path, url.rstrip("/"))

    @cached_property
    def manifest(self) -> Manifest:
        """Raises `Refused` when there is none, or when it can't be used."""
        try:
            with self.open(MANIFEST) as file:
                found = json.load(file)
        except FileNotFoundError:
            raise Refused(f"{self.url} is no backup: it has no {MANIFEST}.") from None
        except (OSError, ValueError) as error:
            raise Refused(f"The manifest of {self.url} can't be read: {error}") from None
        version = cast("dict[str, object]", found).get("version") if isinstance(found, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise Refused(f"{self.url} was made by a newer version: its manifest is version {version}, not {VERSION}.")
        try:
            return Manifest.model_validate(found)
        except ValidationError:
            raise Refused(f"The manifest of {self.url} is damaged.") from None

    def verify(self) -> None:
        """Raise `Refused` unless the leads are those that the manifest vouches for, all of them readable."""
        if (found := self.sha256()) != self.manifest.sha256:
            raise Refused(
                f"{self.url}/{LEADS} is not the file that its manifest vouches for: it was cut off or changed "
                f"(sha256 {found}, not {self.manifest.sha256})."
            )
        if (number := sum(1 for _ in self.leads())) != self.manifest.leads:
            raise Refused(f"{self.url}/{LEADS} has {number} leads, not the {self.manifest.leads} of its manifest.")

    def leads(self) -> Iterator[dict[str, Any]]:
        """Every lead, one at a time: the file is never in memory as a whole. Raises `Refused` where it ends early."""
        try:
            with self.open(LEADS) as file, gzip.open(file, "rt", encoding="utf-8") as lines:
                for line in lines:
                    yield json.loads(line)
        except (OSError, EOFError, ValueError) as error:
            raise Refused(f"{self.url}/{LEADS} can't be read to its end: {error}") from None

    def sha256(self) -> str:
        """Of the file of leads as it lies there."""
        digest = hashlib.sha256()
        with self.open(LEADS) as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    @contextmanager
    def open(self, name: str, mode: str = "rb") -> Generator[IO[bytes]]:
        """One of the folder's files. On this machine only the owner may read what is written."""
        here = "file" in self.fs.protocol
        file = f"{self.path}/{name}"
        if "r" not in mode and here:
            Path(self.path).mkdir(OWN_FOLDER, parents=True, exist_ok=True)
            os.close(os.open(file, os.O_CREAT | os.O_WRONLY, OWN_FILE))
        with self.fs.open(file, mode) as opened:
            yield cast("IO[bytes]", opened)
