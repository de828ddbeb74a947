"""A backup in storage: a folder with the leads, and a manifest that describes them.

::

    <CLOSE_BACKUP_URL>/<organization_id>/<flow_run_id>/
        manifest.json         what this is, how many leads, and the name and digest of the file that has them
        leads-<…>.jsonl.gz    one lead a line, as Close exported it
        report.json           how the run ended: counts, ids, the criteria, who approved; no names of leads
        restore.jsonl         what was restored from it; off this machine restore/<lead>.jsonl

Leads are never overwritten: they are always written into a new file, and the manifest, replaced last and in one piece,
names it. So a folder is a backup from the moment it has a manifest, and stays one through any crash.
"""

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, Self, cast
from uuid import UUID, uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from tasks.backup.folder import Folder, in_one_line
from tasks.report.model import Report
from tasks.runs.outcomes import Refused
from tasks.runs.run_ids import begins
from tasks.runs.versions import from_newer_version
from tasks.runs.wording import counted

VERSION = 1
MANIFEST, LEADS, REPORT = "manifest.json", "leads.jsonl.gz", "report.json"
RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LEAD_FILE = re.compile(r"leads(-[0-9a-f]{8})?\.jsonl\.gz")
COMPRESSION = 6  # of 9; more takes twice as long for a hundredth less


class Manifest(BaseModel):
    """What a backup must hold. The field names are a contract."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = VERSION
    organization_id: str
    flow_run_id: str
    as_of: str
    """The cut-off of the run, as Close writes instants."""
    digest: str
    """That of the run's plan: of the organisation and the query."""
    s_query: dict[str, Any]
    leads: int
    """How many lines the file of leads has."""
    file: str = LEADS
    """The name of the file of leads."""
    sha256: str
    """The digest of the file of leads, compressed as it is, in hexadecimal."""
    made_at: AwareDatetime
    keep_until: AwareDatetime
    """When the next run may delete it."""
    forgotten: tuple[str, ...] = ()
    """Ids of leads that were removed since, at somebody's request."""


class Written(NamedTuple):
    """A file of leads, in the fields of the manifest."""

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
    def is_sealed(self) -> bool:
        """Whether it has a manifest: without one it isn't a backup."""
        return self.has(MANIFEST)

    @cached_property
    def manifest(self) -> Manifest:
        """Raises `Refused` if there is none, or if it can't be used."""
        try:
            with self.open(MANIFEST) as file:
                found = json.load(file)
        except FileNotFoundError:
            raise Refused(f"{self.url} is no backup: it has no {MANIFEST}.") from None
        except Exception as error:  # each driver of a storage has its own
            raise Refused(f"The manifest of {self.url} can't be read: {in_one_line(error)}") from error
        if newer := from_newer_version(f"The manifest of {self.url}", found, VERSION):
            raise Refused(newer)
        try:
            return Manifest.model_validate(found)
        except ValidationError:
            raise Refused(f"The manifest of {self.url} is damaged.") from None

    def verify(self, manifest: Manifest | None = None) -> None:
        """Raise `Refused` unless the file of leads is the one of the *manifest*, and all of it can be read.

        The manifest is the folder's, or one that is yet to be written.
        """
        expected = manifest or self.manifest
        where = f"{self.url}/{expected.file}"
        if (found := self.sha256(expected.file)) != expected.sha256:
            raise Refused(
                f"{where} is not the file of its manifest: it was cut off or changed "
                f"(sha256 {found}, not {expected.sha256})."
            )
        if (number := sum(1 for _ in self.leads(expected.file))) != expected.leads:
            raise Refused(f"{where} has {counted(number, 'lead')}, not the {expected.leads:,} of its manifest.")

    def leads(self, name: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield the leads of the manifest's file, or of the one of this *name*, without reading it into memory whole.

        Raises `Refused` where it ends early.
        """
        with self.reading(name or self.manifest.file) as file, gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)

    def lead_ids(self) -> set[str]:
        """The id of every lead it was made of, forgotten ones included. Raises `Refused`."""
        return {*self.manifest.forgotten, *(str(lead["id"]) for lead in self.leads())}

    def write_leads(self, leads: Iterable[Mapping[str, Any]]) -> Written:
        """Write *leads* into a new file, which is no part of the backup until `seal` names it.

        Fractions may be Decimals. Nothing of the file stays if that fails. Raises `Refused` if the storage fails, and
        whatever *leads* raises.
        """
        name = f"leads-{uuid4().hex[:8]}.jsonl.gz"
        number = 0
        try:
            with self.create(name) as file, gzip.GzipFile("", "wb", COMPRESSION, cast("Any", file), mtime=0) as lines:
                for lead in leads:
                    lines.write(json.dumps(lead, separators=(",", ":"), default=float).encode() + b"\n")
                    number += 1
        except BaseException:
            with suppress(Refused):
                self.delete_file(name)
            raise
        return Written(name, number, file.sha256)

    def seal(self, manifest: Manifest) -> None:
        """Write the manifest, in one piece: from now on the folder is this backup. Raises `Refused`."""
        vars(self).pop("manifest", None)  # the one that was read before
        self.write(MANIFEST, manifest.model_dump_json(indent=2))

    def lead_files(self) -> list[str]:
        """The files of leads, whether or not a manifest names them."""
        return [name for name in self.files() if LEAD_FILE.fullmatch(name)]

    def leftovers(self) -> list[str]:
        """The files of leads that the manifest doesn't name: earlier attempts left them, or others are writing them."""
        return [name for name in self.lead_files() if name != self.manifest.file]

    def holds_leads(self, since: datetime | None = None) -> bool:
        """Whether it has files of leads written after *since*, with or without a manifest."""
        return any(since is None or self.written_at(name) > since for name in self.lead_files())

    def store_report(self, report: Report) -> None:
        """Write *report*, which names no lead, beside the leads, so that it outlives Prefect's history.

        On this machine, also deletes what earlier attempts of the run left there. Raises `Refused`.
        """
        if not self.is_sealed:  # it may be so old that it was pruned
            return
        self.write(REPORT, json.dumps(report.evidence(), indent=2))
        if self.is_local:
            with suppress(Refused), self.lock(exclusive=True):  # not while another copy of the run writes
                for name in self.leftovers():
                    self.delete_file(name)

    def delete(self) -> None:
        """Delete the folder, its manifest first: half deleted, it isn't a backup. Raises `Refused`."""
        self.delete_file(MANIFEST)
        super().delete()


def archives(url: str, organization_id: str | None = None) -> list[Archive]:
    """The runs' folders at *url*: of the organisation, or of all; also those without a manifest. Raises `Refused`."""
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


def archive_of(run: str, url: str, organization_id: str | None = None) -> Archive:
    """The backup at *url* of the run with this id, or whose id begins so. Raises `Refused` if it isn't one.

    With an *organization_id*, that of the API key, only among the backups of that organisation.
    """
    found = _that_begin(run, archives(url, organization_id))
    if len(found) == 1:
        return found[0]
    if found:
        raise Refused(f"Backups of several runs whose ids begin with {run} are at {url}: write the whole id.")
    others = _that_begin(run, archives(url)) if organization_id else []
    if its := next((each.manifest.organization_id for each in others if each.is_sealed), None):
        raise Refused(
            f"The backup of run {run} is of {its}, and the API key is of {organization_id}: use the key of that "
            "organisation."
        )
    raise Refused(
        f"There is no backup of run {run} at {url}. CLOSE_BACKUP_URL says where backups are; the run's report names "
        "the address of its own."
    )


def _that_begin(run: str, found: Iterable[Archive]) -> list[Archive]:
    return [each for each in found if begins(each.url.rpartition("/")[2], run)]
