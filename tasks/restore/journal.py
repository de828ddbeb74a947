"""The journal in a backup's folder: what restores have created and were about to create. The next run reads it first.

Each POST has an entry before it and one after it, so that at most one object is in doubt. On this machine the journal
is one file, ``restore.jsonl``, to which lines are appended. Other storage can't append: there each lead has an object
``restore/<lead>.jsonl``, which is replaced with every entry. Only the holder of the backup's lock may write.
"""

import errno
import io
import json
import os
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.backup.archive import Archive
from tasks.backup.folder import OWN_FILE, in_one_line
from tasks.backup.lock import Check
from tasks.close.resources import Kind
from tasks.runs.outcomes import Outcome, Refused, Stop
from tasks.runs.versions import from_newer_version

VERSION = 1
NAME = "restore.jsonl"
FOLDER = "restore"

Step = Literal["intended", "created", "rejected", "done"]


class Entry(BaseModel):
    """One line. The field names are a contract: newer versions read the journals of older ones."""

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    """Written only where it isn't 1."""
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    lead: str
    """The lead's id in the backup."""
    kind: Kind
    old: str
    """The object's id in the backup."""
    step: Step
    """`intended` before the POST; `created` or `rejected` after it; `done` when a lead is complete."""
    by: str | None = None
    """The id of the user whose API key sends the POST."""
    since: datetime | None = None
    """An instant before the POST, by Close's clock: the event of the creation can't be older."""
    new: str | None = None
    """The object's id in Close, once it is created."""
    contacts: dict[str, str] = Field(default_factory=dict[str, str])
    """For a lead: from its contacts' ids in the backup to their new ids."""
    why: str | None = None
    """Why Close rejected it: the names of fields only, since Close's own words may repeat what was sent."""


class Journal:
    """The journal of one backup. Read it, or open it for writing with `opened`.

    All of it is kept in memory, except the entries of leads that are done.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._file: io.FileIO | None = None
        self.check: Check = lambda: None
        """Raises `Locked` once the lock under which the journal was opened is lost."""
        self._done: set[str] = set()
        self._new: dict[str, str] = {}
        self._entries: dict[str, list[Entry]] = defaultdict(list)

    @property
    def url(self) -> str:
        """The address of the backup."""
        return self._archive.url

    @property
    def new(self) -> Mapping[str, str]:
        """From leads' ids in the backup to their new ids."""
        return self._new

    def is_done(self, lead_id: str) -> bool:
        """Whether the lead was restored completely."""
        return lead_id in self._done

    def last(self, lead_id: str, kind: str, old: str) -> Entry | None:
        """Return the latest entry of an object, or None."""
        found = [each for each in self._entries.get(lead_id, ()) if (each.kind, each.old) == (kind, old)]
        return found[-1] if found else None

    def created_for(self, lead_id: str) -> set[str]:
        """Return the new ids of the objects created for a lead, its own included."""
        return {each.new for each in self._entries.get(lead_id, ()) if each.new}

    def created_counts(self, lead_id: str) -> Counter[str]:
        """Return how many objects were created for a lead that isn't complete, by kind, its contacts too."""
        created = [each for each in self._entries.get(lead_id, ()) if each.step == "created"]
        return Counter(each.kind for each in created) + Counter(contact=sum(len(each.contacts) for each in created))

    def write(self, entry: Entry) -> None:
        """Append *entry*. It survives the end of this process and, if it is ``intended``, a loss of power.

        Raises `Stop` (``failed``) when it can't be written: nothing is created without an entry. Raises `Locked` if the
        lock was lost, also if that was while an ``intended`` entry was written, which a POST follows.
        """
        self.check()
        self._entries[entry.lead].append(entry)
        try:
            if self._file is not None:
                _append(self._file, _line(entry))
                if entry.step == "intended":
                    os.fsync(self._file.fileno())
            else:
                with self._archive.create(f"{FOLDER}/{entry.lead}.jsonl") as file:
                    file.write(b"".join(map(_line, self._entries[entry.lead])))
        except (OSError, Refused) as error:
            cause = error.__cause__ or error
            why = getattr(cause, "strerror", None) or in_one_line(cause)
            raise Stop(
                Outcome.FAILED,
                f"The journal of the restore in {self._archive.url} can't be written ({why}), so nothing more is "
                "created. Make room or restore access, then run the restore again.",
            ) from error
        self._learn(entry)
        if entry.step == "intended":
            self.check()

    def read(self) -> None:
        """Read all entries. A line that was cut off is skipped: what it would have said is looked up in Close.

        Raises `Refused` when the storage fails.
        """
        try:
            for data in self._files():
                for line in data.split(b"\n"):
                    if entry := self._entry(line):
                        self._entries[entry.lead].append(entry)
                        self._learn(entry)
        except Refused:
            raise
        except Exception as error:  # each driver of a storage has its own
            raise Refused(
                f"The journal of the restore in {self._archive.url} can't be read: {in_one_line(error)}"
            ) from error

    def _entry(self, line: bytes) -> Entry | None:
        """The entry on this line, or None if it was cut off. Raises `Refused` for one that a newer version wrote."""
        try:
            found = json.loads(line)
        except ValueError:
            return None
        if newer := from_newer_version(f"The journal of the restore in {self.url}", found, VERSION):
            raise Refused(newer)
        try:
            return Entry.model_validate(found)
        except ValidationError:
            return None

    def _files(self) -> Iterable[bytes]:
        fs: Any = self._archive.fs
        if self._archive.is_local:
            name = f"{self._archive.path}/{NAME}"
            return [fs.cat_file(name)] if fs.exists(name) else []
        folder = f"{self._archive.path}/{FOLDER}"
        return (fs.cat_file(name) for name in fs.ls(folder, detail=False)) if fs.exists(folder) else []

    def _learn(self, entry: Entry) -> None:
        if entry.kind == "lead" and entry.new:
            self._new[entry.lead] = entry.new
        if entry.step == "done":
            self._done.add(entry.lead)
            del self._entries[entry.lead]

    @contextmanager
    def opened(self, check: Check) -> Generator[None]:
        """Read the journal, and open it for writing, as long as *check* finds the backup's lock held."""
        self.check = check
        if not self._archive.is_local:
            self.read()
            yield
            return
        try:
            handle = os.open(f"{self._archive.path}/{NAME}", os.O_CREAT | os.O_RDWR | os.O_APPEND, OWN_FILE)
        except OSError as error:
            raise Refused(f"The journal of the restore in {self._archive.url} can't be opened: {error}") from None
        with io.FileIO(handle, "r+") as file:
            self.read()
            if file.seek(0, os.SEEK_END):
                file.write(b"\n")  # the last line may have been cut off
            self._file = file
            try:
                yield
            finally:
                self._file = None


def _append(file: io.FileIO, line: bytes) -> None:
    """Write all of *line*. A full disk may take a part of it without an error: then raise OSError."""
    if file.write(line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _line(entry: Entry) -> bytes:
    return entry.model_dump_json(exclude_defaults=True).encode() + b"\n"
