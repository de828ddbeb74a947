"""Stdout and stderr that may break: a closed terminal, a closed pipe or a log collector that died ends no run."""

import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NOBODY_READS = {errno.EPIPE, errno.EIO}
STDERR = 2


class Output(io.FileIO):
    """A file descriptor to which nothing is written any more once nobody reads it."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write some of *data*. What can't be written to stderr is dropped."""
        try:
            while (written := super().write(data)) is None:  # full, and somebody else made it non-blocking
                select.select([], [self], [])
        except OSError as error:
            if error.errno in NOBODY_READS:
                with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - also for processes that have inherited it
                    os.dup2(nowhere.fileno(), self.fileno())
            elif self.fileno() != STDERR:
                raise
            return memoryview(data).nbytes
        else:
            return written


def survive_without_reader() -> None:
    """Replace stdout and stderr by streams that may break, and those that the process doesn't have by empty ones."""
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        stream: Any = getattr(sys, name)
        if stream is None:
            stream = open(os.devnull, mode)  # noqa: PTH123, SIM115 - for as long as the process
        elif mode == "w":
            output = io.BufferedWriter(Output(stream.fileno(), "w", closefd=False))
            stream = io.TextIOWrapper(output, stream.encoding, stream.errors, line_buffering=True)
        setattr(sys, name, stream)
