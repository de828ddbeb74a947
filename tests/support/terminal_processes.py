"""``lead-cleanup`` as processes of their own, which lose their terminal, are stopped, or are killed."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from support.attempts import wait_until

CHECKOUT = Path(__file__).parents[2]
FLOWS = (sys.executable, "-m", "flows")
JUNK = ("run", "--match.status", "Junk", "--limits.max-share", "1", "--no-limits.ramp", "--no-dry-run")
DELETING = (*JUNK, "--no-backup", "--json")
Start = Callable[..., "subprocess.Popen[str]"]


@contextmanager
def processes(prefect: str) -> Generator[Start]:
    """Starts ``lead-cleanup`` with these words. At the end of the block, what still runs is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, before: tuple[str, ...] = (), **how: Any) -> "subprocess.Popen[str]":
        pipes: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **how,
        }
        env = {**os.environ, "PREFECT_API_URL": prefect}
        how_it_starts: dict[str, Any] = {
            "text": True,
            "cwd": CHECKOUT,
            "env": env,
            "preexec_fn": _hang_ups_end_it,
            **pipes,
        }
        process = subprocess.Popen([*before, *FLOWS, *words], **how_it_starts)
        started.append(process)
        return process

    try:
        yield start
    finally:
        for each in started:
            each.kill()
            each.communicate()


def at_a_terminal(command: Sequence[str], text: str, settings: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """What *command* says at a terminal at which somebody types *text*; its stdout is a file."""
    ours, its = pty.openpty()
    os.write(ours, f"{text}\n".encode())
    env = {**os.environ, **settings}
    with subprocess.Popen(
        command, stdin=its, stderr=its, stdout=subprocess.PIPE, cwd=CHECKOUT, env=env, text=True
    ) as process:
        os.close(its)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        out, _ = process.communicate(timeout=60)
    os.close(ours)
    return subprocess.CompletedProcess(command, process.returncode, out, shown.decode())


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1000)
    except OSError:  # how a terminal says that nobody is there any more
        return b""


def _hang_ups_end_it() -> None:
    """As at a terminal, also where the tests themselves run under ``nohup``."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def newest_run() -> FlowRun:
    """The run that was created last."""
    with get_client(sync_client=True) as prefect:
        return prefect.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1)[0]


def run_of(process: "subprocess.Popen[str]", known: UUID | None) -> UUID:
    """The id of the run that *process* executes, once it says so; *known* is the run before it."""

    def begun() -> bool:
        assert process.poll() is None
        return newest_id() != known and "process.lock" in newest_run().labels

    wait_until(begun)
    return newest_run().id


def newest_id() -> UUID | None:
    """The id of the run that was created last, if there is one."""
    with get_client(sync_client=True) as prefect:
        found = prefect.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1)
    return found[0].id if found else None
