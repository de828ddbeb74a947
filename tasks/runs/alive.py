"""Whether a run without a deployment is still executed: by a lock that its process holds for as long as it lives.

The labels of the flow run name the lock and where it is. The system releases a lock however its process ends. Runs of
deployments need none: their workers send heartbeats.
"""

import fcntl
import hashlib
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import UUID, getnode, uuid4

from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort

from tasks.runs.connect import prefect
from tasks.runs.host import container
from tasks.runs.run import Run

BOOT_ID, MACHINE_ID = Path("/proc/sys/kernel/random/boot_id"), Path("/etc/machine-id")
PREFIX = "process."
"""What the names of these labels begin with."""


class Process(NamedTuple):
    """Where a run is executed, and the lock that proves it."""

    host: str
    """Its name, for people."""
    machine: str
    """Tells machines apart; empty in a container, whose name and ids may be those of its image."""
    boot: str
    """Tells the boots of all machines apart."""
    lock: str = ""
    """The path of the file that is locked; empty if none could be."""

    @classmethod
    def here(cls) -> Self:
        """This machine, without a lock."""
        host = socket.gethostname()
        identity = _text(MACHINE_ID) or str(getnode())
        machine = hashlib.sha256(f"lead-cleanup {host} {identity}".encode()).hexdigest()[:16]  # the id is confidential
        return cls(host, "" if container() else machine, _text(BOOT_ID) or machine)

    @classmethod
    def of(cls, flow_run: FlowRun) -> Self | None:
        """The process that last executed the run, by its labels; None if they don't say."""
        labels = [flow_run.labels.get(f"{PREFIX}{field}") for field in cls._fields]
        return None if None in labels else cls(*map(str, labels))

    @property
    def labels(self) -> dict[str, str]:
        """The labels by which a run names this process."""
        return {f"{PREFIX}{field}": value for field, value in self._asdict().items()}


class Superseded(Abort):
    """Ends this attempt of a run, but not the run: a later attempt continues it. Prefect leaves the state alone."""

    @classmethod
    def by(cls, flow_run: FlowRun) -> Self:
        """Say which attempt it is that continues *flow_run*."""
        return cls(f"Attempt {flow_run.run_count} of run {flow_run.id} has taken over from this one, which ends here.")


def check_latest(run: Run) -> State[Any] | None:
    """Raise `Superseded` if a later attempt of *run* has begun: this process was asleep, and somebody took it for dead.

    Otherwise returns the run's state at this moment. Raises `PrefectUnavailable`.
    """
    with prefect() as server:
        found = server.read_flow_run(run.id)
    if found.run_count > run.attempt:
        raise Superseded.by(found)
    return found.state


@contextmanager
def alive(run_id: UUID) -> Generator[None]:
    """Prove that this process lives while the block executes the run: lock a file, and label the run with it.

    Where no file can be locked, the labels name the machine only. Raises `PrefectUnavailable`.
    """
    here = Process.here()
    with _locked(run_id, here.boot) as lock:
        with prefect() as server:
            server.update_flow_run_labels(run_id, {**here._replace(lock=lock).labels})
        yield


def is_gone(process: Process, here: Process) -> bool | None:
    """Whether *process* is known to have ended, as seen from *here*; None if that can't be known."""
    if process.boot == here.boot:
        return _is_free(process.lock)
    return True if process.machine and process.machine == here.machine else None


@contextmanager
def _locked(run_id: UUID, boot: str) -> Generator[str]:
    """Hold the lock of a new file, and yield its path, or "" where there can be none. After an error the file stays."""
    try:
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state").absolute()
        path = state / "close-lead-cleanup" / f"{run_id}-{boot}-{uuid4().hex[:8]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    except (OSError, RuntimeError):  # a user without a home
        yield ""
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # a file system without locks
            path.unlink()
            yield ""
            return
        yield str(path)
        with suppress(OSError):
            path.unlink()  # the run has ended
    finally:
        os.close(handle)


def _is_free(lock: str) -> bool | None:
    """Whether nobody holds the lock of this file; None without such a file."""
    try:
        handle = os.open(lock, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    finally:
        os.close(handle)
    return True


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
