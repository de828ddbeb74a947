"""A backup as it lies in storage: a folder with the leads, and a manifest that vouches for them.

::

    <CLOSE_BACKUP_URL>/<organization_id>/<flow_run_id>/
        manifest.json         what this is, how many leads, and the name and digest of the file that has them
        leads-<…>.jsonl.gz    one lead a line, as Close exported it
        report.json           how the run ended: counts and ids, no names
        restore.jsonl         what was made anew from it; off this machine restore/<lead>.jsonl

Leads are never written over: each time they are written they get a file of their own, and the manifest, written last
and in one piece, is what turns to it. So a folder is a backup from the moment it has a manifest, and stays one whatever
happens.
"""

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import IO, Any, Self, cast
from uuid import UUID, uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from tasks.backup.folder import Folder, NewFile, said
from tasks.report.model import Report
from tasks.runs.outcomes import Refused
from tasks.runs.versions import from_newer_version

VERSION = 1
MANIFEST, LEADS, REPORT = "manifest.json", "leads.jsonl.gz", "report.json"
RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LEAD_FILE = re.compile(r"leads(-[0-9a-f]{8})?\.jsonl\.gz")
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
    made_at: AwareDatetime
    keep_until: AwareDatetime
    """When the next run may delete it."""
    forgotten: tuple[str, ...] = ()
    """Ids of leads that were taken out since, at somebody's request."""


@dataclass(frozen=True)
class Written:
    """A file of leads that was written, and what a manifest says of it."""

    file: str
    leads: int
    sha256: str


class Archive(Folder):
    """One backup's folder."""

    @classmethod
    def of_run(cls, url: str, organization_id: str, run_id: UUID) -> Self:
        """The folder of this run's backup below *url*, CLOSE_BACKUP_URL."""
        return cls.at(f"{url.rstrip('/')}/{organization_id}/{run_id}")

    @property
    def is_there(self) -> bool:
        """Whether it has a manifest: what has none is no backup."""
        return self.has(MANIFEST)

    @cached_property
    def manifest(self) -> Manifest:
        """Raises `Refused` when there is none, or when it can't be used."""
        try:
            with self.open(MANIFEST) as file:
                found = json.load(file)
        except FileNotFoundError:
            raise Refused(f"{self.url} is no backup: it has no {MANIFEST}.") from None
        except Exception as error:
            raise Refused(f"The manifest of {self.url} can't be read: {said(error)}") from error
        if newer := from_newer_version(f"The manifest of {self.url}", found, VERSION):
            raise Refused(newer)
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
        if (found := self.sha256(vouched.file)) != vouched.sha256:
            raise Refused(
                f"{where} is not the file that its manifest vouches for: it was cut off or changed "
                f"(sha256 {found}, not {vouched.sha256})."
            )
        if (number := sum(1 for _ in self._leads(vouched.file))) != vouched.leads:
            raise Refused(f"{where} has {number} leads, not the {vouched.leads} of its manifest.")

    def leads(self) -> Iterator[dict[str, Any]]:
        """Every lead, one at a time: the file is never in memory as a whole. Raises `Refused` where it ends early."""
        return self._leads(self.manifest.file)

    def lead_ids(self) -> set[str]:
        """The id of every lead it was made of, also of those that were forgotten since. Raises `Refused`."""
        return {*self.manifest.forgotten, *(str(lead["id"]) for lead in self.leads())}

    def _leads(self, name: str) -> Iterator[dict[str, Any]]:
        with self.reading(name) as file, gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)

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
        vars(self).pop("manifest", None)  # what was read before
        self.put(MANIFEST, manifest.model_dump_json(indent=2))

    def lead_files(self) -> list[str]:
        """The files of leads, whether or not a manifest vouches for them."""
        return [name for name in self.files() if LEAD_FILE.fullmatch(name)]

    def leftovers(self) -> list[str]:
        """The files of leads that the manifest doesn't name: what earlier attempts have left, or others are writing."""
        return [name for name in self.lead_files() if name != self.manifest.file]

    def holds_leads(self, since: datetime | None = None) -> bool:
        """Whether files of leads lie there that were written after *since*, with or without a manifest."""
        return any(since is None or self.written_at(name) > since for name in self.lead_files())

    def store_report(self, report: Report) -> None:
        """Write *report*, without any name, beside the leads, so that it outlives Prefect's history.

        On this machine, also deletes what earlier attempts of the run have left there. Raises `Refused` when the
        storage fails.
        """
        if not self.is_there:  # it may be so old that it was pruned
            return
        self.put(REPORT, json.dumps(report.evidence(), indent=2))
        if self.is_local:
            with suppress(Refused), self.held(alone=True):  # not while another copy of the run writes
                for name in self.leftovers():
                    self.drop(name)

    def delete(self) -> None:
        """Delete the folder, its manifest first: what is left half-way is no backup. Raises `Refused`."""
        self.drop(MANIFEST)
        super().delete()


def archives(url: str, organization_id: str | None = None) -> list[Archive]:
    """The folders of runs at *url*: of the organisation, or of all; also what is no backup. Raises `Refused`."""
    root = Folder.at(url)
    organizations = [organization_id] if organization_id else root.files()
    if not organizations:
        root.check_bucket()
    return [
        Archive.at(f"{root.url}/{each}/{run}")
        for each in organizations
        if each.startswith("orga_")
        for run in Folder.at(f"{root.url}/{each}").files()
        if RUN.fullmatch(run)
    ]


def _packed(file: NewFile) -> gzip.GzipFile:
    return gzip.GzipFile(filename="", mode="wb", compresslevel=PACKED, fileobj=cast("IO[bytes]", file), mtime=0)
