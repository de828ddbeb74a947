"""``python -m bench.child MODULE:FUNCTION ARGUMENTS``: calls it in a process of its own, prints its result as JSON."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.places import ROOT


def child(function: str, *arguments: Any, log: Path) -> Any:
    """The result of ``module:function``, called in a new process. Its standard error goes to the end of *log*."""
    command = (sys.executable, "-W", "ignore", "-m", "bench.child", function, json.dumps(arguments))
    with log.open("ab") as errors:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, check=False)
    if done.returncode:
        raise RuntimeError(f"{function} failed: see {log}\n{log.read_text()[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def peak_memory() -> float:
    """MiB that this process has held at most. Not ``ru_maxrss``, which begins with that of the parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    print(json.dumps(getattr(import_module(module), name)(*json.loads(sys.argv[2]))))  # noqa: T201
