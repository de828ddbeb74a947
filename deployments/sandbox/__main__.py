"""``python -m deployments.sandbox``: serve until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from deployments.sandbox.server import PortInUse, Sandbox


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the sandbox; 2 when it can't be, with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="sandbox", description="Close on your machine.")
    parser.add_argument("--port", type=int, default=8765, help="port on 127.0.0.1, 0 for any free one (%(default)s)")
    parser.add_argument("--leads", type=_count, default=1000, help="how many leads to make up (%(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="which leads to make up (%(default)s)")
    parser.add_argument("--leads-per-second", type=_speed, default=200.0, help="how fast bulk deletes go (%(default)s)")
    parser.add_argument("--database", help="SQLite file to keep the organisation in; made if it isn't there")
    parser.add_argument("--no-rate-limits", action="store_true", help="answer however many requests come")
    options = parser.parse_args(argv)
    try:
        sandbox = Sandbox(
            leads=options.leads,
            seed=options.seed,
            leads_per_second=options.leads_per_second,
            port=options.port,
            database=options.database,
            rate_limits=not options.no_rate_limits,
        )
    except (PortInUse, ValueError) as error:
        print(f"sandbox: {error}", file=sys.stderr)  # noqa: T201 - the one sentence
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop as cleanly as after Ctrl-C
    with sandbox:
        print(f"{sandbox.url}  keys: api_sandbox.admin, api_sandbox.user  (Ctrl-C stops)", flush=True)  # noqa: T201
        try:
            sandbox.wait()
        except KeyboardInterrupt:
            return 0
    return 0


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def _speed(text: str) -> float:
    number = float(text)
    if number <= 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
