"""A backup as it lies in storage: a folder with the leads, and a manifest that vouches for them.

::

    <CLOSE_BACKUP_URL>/<organization_id>/<flow_run_id>/
        manifest.json         what this is, how many leads, and the name and digest of the file that has them
        leads-<…>.jsonl.gz    one lead a line, as Close exported it
        report.json           how the run ended: counts and ids, no names
        restore.jsonl         what was made anew from it; off this machine restore/<lead>.jsonl

Leads are never written over: each time they are written they get a file of their own, and the manifest, written last
and in one piece, is what turns to it. So a folder is a backup from the moment it has a manifest, and stays one whatever
happens. Storage is whatever fsspec reaches: a folder of this machine, or ``s3://…`` and the like where its driver is
installed.
"""

import gzip
import hashlib
import io
import json
import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Self, cast
from uuid import uuid4

import fsspec  # pyright: ignore[reportMissingTypeStubs]
from fsspec.spec import AbstractBufferedFile  # pyright: ignore[reportMissingTypeStubs]
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.outcomes import Refused

VERSION = 1
MANIFEST, LEADS, REPORT = "manifest.json", "leads.jsonl.gz", "report.json"
CHUNK = 1 << 20  # bytes
BLOCK = 8 << 20  # bytes; a bucket's driver holds a few of them, and s3fs's own are 50 MiB. S3 takes 10,000 a file
OWN_FOLDER, OWN_FILE = 0o700, 0o600
PACKED = 6  # of 9: what lies beyond takes twice as long for a hundredth less


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
    """How many lines the file of leads has."""
    file: str = LEADS
    """The name of the file of leads."""
    sha256: str
    """Of the file of leads as it lies in storage."""
    made_at: datetime
    keep_until: datetime
    """When the next run may delete it."""
    forgotten: tuple[str, ...] = ()
    """Ids of leads that were taken out since, at somebody's request."""


@dataclass(frozen=True)
class Written:
    """A file of leads that was written, and what a manifest says of it."""

    file: str
    leads: int
    sha256: str


@dataclass(frozen=True)
class Archive:
    """One backup's folder."""

    storage: Any  # fsspec has no types
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

    @property
    def fs(self) -> Any:
        """Its storage, remembering nothing: drivers keep listings for good, but others write and delete there too."""
        self.storage.invalidate_cache()
        return self.storage

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return "file" in self.storage.protocol

    @property
    def is_there(self) -> bool:
        """Whether it has a manifest: what has none is no backup."""
        with _usable(self.url):
            return bool(self.fs.exists(f"{self.path}/{MANIFEST}"))

    @cached_property
    def manifest(self) -> Manifest:
        """Raises `Refused` when there is none, or when it can't be used."""
        try:
            with self.open(MANIFEST) as file:
                found = json.load(file)
        except FileNotFoundError:
            raise Refused(f"{self.url} is no backup: it has no {MANIFEST}.") from None
        except Exception as error:
            raise Refused(f"The manifest of {self.url} can't be read: {_said(error)}") from error
        version = cast("dict[str, object]", found).get("version") if isinstance(found, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise Refused(f"{self.url} was made by a newer version: its manifest is version {version}, not {VERSION}.")
        try:
            return Manifest.model_validate(found)
        except ValidationError:
            raise Refused(f"The manifest of {self.url} is damaged.") from None

    def verify(self, manifest: Manifest | None = None) -> None:
        """Raise `Refused` unless the leads are those that the manifest vouches for, all of them readable.

        The manifest is the folder's, or one that is yet to be written.
        """
        vouched = manifest or self.manifest
        where = f"{self.url}/{vouched.file}"
        if (found := self._sha256(vouched.file)) != vouched.sha256:
            raise Refused(
                f"{where} is not the file that its manifest vouches for: it was cut off or changed "
                f"(sha256 {found}, not {vouched.sha256})."
            )
        if (number := sum(1 for _ in self._leads(vouched.file))) != vouched.leads:
            raise Refused(f"{where} has {number} leads, not the {vouched.leads} of its manifest.")

    def leads(self) -> Iterator[dict[str, Any]]:
        """Every lead, one at a time: the file is never in memory as a whole. Raises `Refused` where it ends early."""
        return self._leads(self.manifest.file)

    def _leads(self, name: str) -> Iterator[dict[str, Any]]:
        with self._reading(name), self.open(name) as file:
            chunks = io.BufferedReader(cast("io.RawIOBase", file), CHUNK)  # gzip reads little, and gcsfs as little
            with gzip.open(chunks, "rt", encoding="utf-8") as lines:
                for line in lines:
                    yield json.loads(line)

    def _sha256(self, name: str) -> str:
        digest = hashlib.sha256()
        with self._reading(name), self.open(name) as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def write_leads(self, leads: Iterable[Mapping[str, Any]]) -> Written:
        """Write *leads* into a file of their own. Until `vouch` names it, it is no part of a backup.

        Fractions may be Decimals. Nothing of the file stays if that fails. Raises `Refused` if the storage does, and
        whatever *leads* raises.
        """
        name = f"leads-{uuid4().hex[:8]}.jsonl.gz"
        number = 0
        try:
            with self.create(name) as file, _packed(file) as lines:
                for lead in leads:
                    lines.write(json.dumps(lead, separators=(",", ":"), default=float).encode() + b"\n")
                    number += 1
        except BaseException:
            with suppress(Refused):
                self.drop(name)
            raise
        return Written(name, number, file.sha256)

    def vouch(self, manifest: Manifest) -> None:
        """Write the manifest, in one piece: from here on this is that backup. Raises `Refused`."""
        self.put(MANIFEST, manifest.model_dump_json(indent=2))

    def tidy(self) -> None:
        """Delete the files of leads that the manifest doesn't name: what earlier attempts have left."""
        for name in self.files():
            if name.startswith("leads") and name != self.manifest.file:
                self.drop(name)

    def put(self, name: str, text: str) -> None:
        """Write a small file, so that it is there as a whole or as it was before. Raises `Refused`."""
        if not self.is_local:  # where a file appears when it has been written
            with self.create(name) as file:
                file.write(text.encode())
            return
        with self.create(f"{name}.new") as file:
            file.write(text.encode())
        with _usable(self.url):
            Path(f"{self.path}/{name}.new").replace(f"{self.path}/{name}")

    def files(self) -> list[str]:
        """The names of what lies in the folder."""
        with _usable(self.url):
            try:
                return sorted(str(each).rpartition("/")[2] for each in self.fs.ls(self.path, detail=False))
            except FileNotFoundError:
                return []

    def written_at(self, name: str) -> datetime:
        """When one of the folder's files was last written (UTC). Raises `Refused`."""
        with _usable(self.url):
            found = cast("datetime", self.fs.modified(f"{self.path}/{name}"))
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def drop(self, name: str) -> None:
        """Delete one of the folder's files, if it is there. Raises `Refused`."""
        with _usable(self.url), suppress(FileNotFoundError):
            self.fs.rm_file(f"{self.path}/{name}")

    def delete(self) -> None:
        """Delete the folder, its manifest first: what is left half-way is no backup. Raises `Refused`."""
        self.drop(MANIFEST)
        with _usable(self.url), suppress(FileNotFoundError):
            self.fs.rm(self.path, recursive=True)
        with _usable(self.url):  # s3fs doesn't say which of many objects it may not delete
            left = len(self.fs.find(self.path))
        if left:
            raise Refused(f"{left} files of {self.url} can't be deleted: check the rights to delete there.")

    @contextmanager
    def create(self, name: str) -> Generator["NewFile"]:
        """A file to write, which is on the disk when the block ends. Raises `Refused` if the storage fails."""
        with _usable(self.url):
            opened = self._opened(name, "wb")
        file = NewFile(self.url, opened)
        try:
            yield file
            with _usable(self.url):
                if self.is_local:
                    opened.flush()
                    os.fsync(opened.fileno())
                opened.close()
        except BaseException:
            with suppress(Exception):  # a full disk may be met once more, and isn't news
                _abandon(opened)
            raise

    @contextmanager
    def open(self, name: str, mode: str = "rb") -> Generator[IO[bytes]]:
        """One of the folder's files. On this machine only the owner may read what is written."""
        with self._opened(name, mode) as opened:
            yield opened

    def _opened(self, name: str, mode: str) -> IO[bytes]:
        file = f"{self.path}/{name}"
        if "r" not in mode and self.is_local:
            Path(self.path).mkdir(OWN_FOLDER, parents=True, exist_ok=True)
            os.close(os.open(file, os.O_CREAT | os.O_WRONLY, OWN_FILE))
        return cast("IO[bytes]", self.fs.open(file, mode, block_size=BLOCK))

    @contextmanager
    def _reading(self, name: str) -> Generator[None]:
        try:
            yield
        except Exception as error:
            raise Refused(f"{self.url}/{name} can't be read to its end: {_said(error)}") from error


class NewFile:
    """A file that is being written, and the digest of what was. What its storage raises is `Refused`."""

    def __init__(self, url: str, file: IO[bytes]) -> None:
        self._url = url
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write all of *data*."""
        with _usable(self._url):
            self._file.write(data)
        self._digest.update(data)
        return len(data)

    @property
    def sha256(self) -> str:
        """Of what was written so far."""
        return self._digest.hexdigest()


def archives(url: str, organization_id: str | None = None) -> list[Archive]:
    """The folders at *url*: of the organisation, or of all; also those that are no backup. Raises `Refused`."""
    root = Archive.at(url)
    organizations = [organization_id] if organization_id else root.files()
    if not organizations and not root.is_local:
        _check_bucket(root)
    return [
        Archive.at(f"{root.url}/{each}/{run}")
        for each in organizations
        if each.startswith("orga_")
        for run in Archive.at(f"{root.url}/{each}").files()
    ]


def _check_bucket(root: Archive) -> None:
    """Raise `Refused` where there is no such bucket: to a listing it is the same as an empty folder."""
    bucket = root.path.strip("/").partition("/")[0]
    with _usable(root.url), suppress(PermissionError):  # the rights may reach no further than the folder
        root.fs.ls(bucket)


def _abandon(file: Any) -> None:
    """Close a file that isn't to be. In a bucket a file appears when it is closed, so there its upload is given up."""
    if isinstance(file, AbstractBufferedFile):
        file.closed = True  # or it would be closed when it is collected
        file.discard()
    else:
        file.close()


def _packed(file: NewFile) -> gzip.GzipFile:
    return gzip.GzipFile(filename="", mode="wb", compresslevel=PACKED, fileobj=cast("IO[bytes]", file), mtime=0)


@contextmanager
def _usable(url: str) -> Generator[None]:
    """A block that only touches storage. Each driver raises what the libraries below it raise."""
    try:
        yield
    except Exception as error:
        what = f"{type(error).__name__}: {_said(error)}"
        raise Refused(
            f"The storage at {url} fails ({what}): check CLOSE_BACKUP_URL, its rights and its space."
        ) from error


def _said(error: Exception) -> str:
    """What *error* says, in one line."""
    return " ".join(str(error).split())
