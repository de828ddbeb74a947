"""``make bench``: measures everything in turn, and writes the table."""

import argparse
import os
import platform
import socket
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.child import child
from bench.places import environment, prefect_server
from bench.table import Results, Row

SUBJECTS = ("cleanups", "waiting", "backups", "restores", "plans", "organizations", "memory", "commands")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what cleanups cost.")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"only these, written nowhere: {SUBJECTS}")
    wanted = parser.parse_args().subjects
    began, load = time.monotonic(), os.getloadavg()[2]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        log = folder / "log"
        environment(folder)
        for subject in wanted or SUBJECTS:
            with prefect_server(folder / "server.log", _free_port()):
                for each in child(f"bench.{subject}:rows", log=log):
                    rows.append(Row.model_validate(each))
                    _say(f"{time.monotonic() - began:5.0f} s  {rows[-1].line}")
    if not wanted:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
        Results(
            date=datetime.now(UTC).date(),
            python=platform.python_version(),
            prefect=version("prefect"),
            cpus=os.cpu_count() or 0,
            memory_gib=round(memory, 1),
            seconds=round(time.monotonic() - began, 1),
            load=(round(load, 2), round(os.getloadavg()[2], 2)),
            rows=tuple(rows),
        ).write()
    return 0


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is what it is for


if __name__ == "__main__":
    sys.exit(main())
