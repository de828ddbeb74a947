"""The command line: what a command takes that starts nothing, against importing the libraries that it is made of."""

import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from bench.places import ROOT
from bench.table import Row

REPEATS = 15
LEAD_CLEANUP = str(Path(sys.executable).parent / "lead-cleanup")
COMMANDS = {
    "--help": ("import cyclopts, rich.console", 1.3),
    "run --help": ("from pydantic import BaseModel; import cyclopts", 1.5),
    "query --match.inactive-months 12": ("from pydantic import BaseModel; import cyclopts", 1.5),
}
"""Each with what it is compared with, and the aim."""


def rows() -> list[dict[str, Any]]:
    """The rows of this subject."""
    return [_row(words, *peer).model_dump() for words, peer in COMMANDS.items()]


def _row(words: str, imports: str, aim: float) -> Row:
    command, peer = (LEAD_CLEANUP, *words.split()), (sys.executable, "-c", imports)
    taken = [(_cpu(command), _cpu(peer)) for _ in range(REPEATS)]
    return Row(
        what=f"`lead-cleanup {words}`",
        value=median(ours for ours, _ in taken),
        unit="s of CPU",
        against=f"`{imports}`",
        peer=median(theirs for _, theirs in taken),
        aim=aim,
    )


def _cpu(command: tuple[str, ...]) -> float:
    """Seconds of the CPU that *command* takes."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return used.ru_utime + used.ru_stime
