"""One lock per backup, held while it is restored, while data is erased from it, and while it is deleted."""

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager

from tasks.backup.archive import RUN, Archive
from tasks.backup.folder import Locked

LOOK_SECONDS = 0.5

Check = Callable[[], None]
"""Raises `Locked` if the lock is no longer held. Call it before each step that changes anything."""


@contextmanager
def locked(archive: Archive, by: str, *, patience: float = 0.0) -> Generator[Check]:
    """Hold the lock of this backup; *by* tells others what holds it, such as "a restore".

    Raises `Locked` if others hold it, and still do after *patience* (seconds). A folder on this machine is locked by
    its file system, and the lock ends with its process. Elsewhere the Prefect server keeps it: see
    `tasks.backup.lease`.
    """
    deadline = time.monotonic() + patience
    with ExitStack() as held:
        while True:
            try:
                check = held.enter_context(_locked(archive, by))
                break
            except Locked:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(LOOK_SECONDS)
        yield check


@contextmanager
def _locked(archive: Archive, by: str) -> Generator[Check]:
    if archive.is_local:
        with archive.lock(exclusive=True):
            yield lambda: None
        return
    from tasks.backup.lease import leased  # imports Prefect, which a folder doesn't need

    with leased(archive.url, run_of(archive), by) as check:
        yield check


def run_of(archive: Archive) -> str:
    """The id of the run whose backup it is: the name of its folder, else what its manifest says. Raises `Refused`."""
    folder = archive.path.rstrip("/").rpartition("/")[2]
    return folder if RUN.fullmatch(folder) else Archive.at(archive.url).manifest.flow_run_id
