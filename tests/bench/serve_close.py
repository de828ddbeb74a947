"""``python -m bench.serve_close 10 1000 [FILE]``: sandboxes in a process of their own, until its standard input ends.

With a *FILE*, there is one, whose organisation is kept there and used again.
"""

import json
import sys
from contextlib import ExitStack

from deployments.sandbox.server import Sandbox


def main(organizations: int, leads: int, database: str | None = None) -> None:
    with ExitStack() as running:
        served = [
            running.enter_context(Sandbox(leads=leads, database=database, organization=f"Organisation {number}"))
            for number in range(organizations)
        ]
        print(json.dumps([{"url": each.url, "base": each.base} for each in served]), flush=True)  # noqa: T201
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
