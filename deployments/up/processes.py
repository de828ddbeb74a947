"""The processes of ``make up``: each prints to a file of its own, and none is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from deployments.up.environment import Place
from flows.console.terminal import put

PREFECT = str(Path(sys.executable).with_name("prefect"))
PATIENCE = 30  # seconds for a process to end by itself
LOOK_SECONDS = 0.2
LAST_LINES = 5
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(Exception):
    """A process has ended that should be running. The message says which, and what it printed last."""


class Process:
    """A process in a session of its own, which Ctrl-C doesn't reach: the worker is stopped before its server."""

    def __init__(self, name: str, place: Place, *words: str) -> None:
        self._name, self._place = name, place
        with place.log(name).open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - all ours
                [PREFECT, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def check(self) -> None:
        """Raise `Ended` unless it is running."""
        if self._process.poll() is not None:
            log = self._place.log(self._name)
            last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
            raise Ended(f"The {self._name} has ended, so everything is stopped. {log} ends with: {' '.join(last)}")

    def wait_until_it_answers(self) -> None:
        """Wait until the Prefect API answers. Raises `Ended`."""
        with httpx.Client(trust_env=False) as client:
            while True:
                self.check()
                with suppress(httpx.HTTPError):
                    if client.get(f"{self._place.api}/health").is_success:
                        return
                time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """Stop it, and what it has started. Returns once it has ended."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def server(place: Place) -> Generator[Process]:
    """The Prefect server."""
    put("Starting a Prefect server. The first time that takes up to half a minute …")
    with _running(Process("server", place, "server", "start")) as process:
        yield process


@contextmanager
def worker(place: Place) -> Generator[Process]:
    """The worker, which runs what is scheduled or started in the Prefect UI."""
    with _running(
        Process("worker", place, "worker", "start", "--pool", "lead-cleanup", "--name", "make up")
    ) as process:
        yield process


@contextmanager
def _running(process: Process) -> Generator[Process]:
    try:
        yield process
    finally:
        process.stop()


def wait_for_the_end_of_one(running: Sequence[Process]) -> int:
    """Wait until one of them ends, which none should: raises `Ended`."""
    while True:
        for each in running:
            each.check()
        time.sleep(1)


def stop_on_signals() -> None:
    """Stop everything on Ctrl-C, SIGTERM or when the terminal closes: once, whatever signals follow."""

    def interrupt(*_: object) -> None:
        for each in STOPS:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt  # and not a word here: it may come in the middle of another one

    for each in STOPS:
        signal.signal(each, interrupt)
