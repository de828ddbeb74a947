"""What a restore has made, and was about to make: a journal beside the backup, by which the next run goes on.

A line is written before each POST and one after it, so that there is at most one object of which nobody knows. On this
machine the journal is one file that grows, ``restore.jsonl``. Other storage can't append: there each lead has an object
``restore/<lead>.jsonl``, which is replaced as a whole.
"""

import errno
import fcntl
import io
import os
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.backup.archive import Archive
from tasks.backup.folder import OWN_FILE, said
from tasks.close.resources import Kind
from tasks.runs.outcomes import Outcome, Refused, Stop

NAME = "restore.jsonl"
FOLDER = "restore"

Step = Literal["intended", "created", "rejected", "done"]


class Entry(BaseModel):
    """One line. The field names are a contract: a newer version goes on with an older one's journal."""

    model_config = ConfigDict(frozen=True)

    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    lead: str
    """The lead's id in the backup."""
    kind: Kind
    old: str
    """The object's id in the backup."""
    step: Step
    """`intended` before the POST; `created` or `rejected` after it; `done` when a lead has everything."""
    by: str | None = None
    """Whose key was to make it."""
    since: datetime | None = None
    """An instant of Close's clock, before the POST: an event of it can't be older."""
    new: str | None = None
    contacts: dict[str, str] = Field(default_factory=dict[str, str])
    """For a lead: the new ids of its contacts by the old."""
    why: str | None = None
    """What of it Close rejected: names of fields, and not Close's words, which may repeat what was sent."""


class Journal:
    """The journal of one backup. Read it, or open it for writing with `opened`.

    It is whole in memory, but for what is written about leads that are done.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._file: io.FileIO | None = None
        self._done: set[str] = set()
        self._new: dict[str, str] = {}
        self._entries: dict[str, list[Entry]] = defaultdict(list)

    @property
    def url(self) -> str:
        """The address of its backup."""
        return self._archive.url

    @property
    def new(self) -> Mapping[str, str]:
        """The new ids of leads by the old."""
        return self._new

    def is_done(self, lead_id: str) -> bool:
        """Whether the lead is there with everything."""
        return lead_id in self._done

    def last(self, lead_id: str, kind: str, old: str) -> Entry | None:
        """What was last written about an object."""
        found = [each for each in self._entries.get(lead_id, ()) if (each.kind, each.old) == (kind, old)]
        return found[-1] if found else None

    def made_of(self, lead_id: str) -> set[str]:
        """The new ids of what was made for a lead."""
        return {each.new for each in self._entries.get(lead_id, ()) if each.new}

    def write(self, entry: Entry) -> None:
        """Note it, so that it outlives this process; what is intended outlives a loss of power as well.

        Raises `Stop` (``failed``) when it can't be written: nothing is made that isn't noted.
        """
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
            why = getattr(cause, "strerror", None) or said(cause)
            raise Stop(
                Outcome.FAILED,
                f"The journal of the restore in {self._archive.url} can't be written ({why}): nothing more is made. "
                "Run the restore again when it can be.",
            ) from error
        self._learn(entry)

    def read(self) -> None:
        """Read what there is. A line that was cut off is skipped: what it would say is found out in Close instead."""
        try:
            for data in self._files():
                for line in data.split(b"\n"):
                    try:
                        entry = Entry.model_validate_json(line)
                    except ValidationError:
                        continue
                    self._entries[entry.lead].append(entry)
                    self._learn(entry)
        except Exception as error:
            raise Refused(f"The journal of the restore in {self._archive.url} can't be read: {said(error)}") from error

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
    def opened(self) -> Generator[None]:
        """Read it, and be the only one on this machine that writes it. Raises `Refused` when another restore does."""
        if not self._archive.is_local:
            self.read()
            yield
            return
        try:
            handle = os.open(f"{self._archive.path}/{NAME}", os.O_CREAT | os.O_RDWR | os.O_APPEND, OWN_FILE)
        except OSError as error:
            raise Refused(f"The journal of the restore in {self._archive.url} can't be opened: {error}") from None
        with io.FileIO(handle, "r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go of by the system, however the process ends
            except BlockingIOError:
                raise Refused(f"Another restore of {self._archive.url} is under way: wait until it ends.") from None
            self.read()
            if file.seek(0, os.SEEK_END):
                file.write(b"\n")  # the last line may have been cut off
            self._file = file
            try:
                yield
            finally:
                self._file = None


def _append(file: io.FileIO, line: bytes) -> None:
    """Write the whole *line*. A full disk may take a part of it without an error."""
    if file.write(line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _line(entry: Entry) -> bytes:
    return entry.model_dump_json(exclude_defaults=True).encode() + b"\n"
