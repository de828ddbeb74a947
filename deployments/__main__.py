"""``make deploy``: checks what would break the import of Prefect, then does what deploy.py says."""

import sys

from flows.console.streams import survive_without_reader
from flows.console.terminal import WRONG_USAGE, say
from tasks.runs.setup import setup_problem


def main() -> int:
    """Deploy, and return the exit code."""
    if problem := setup_problem():
        say(problem)
        return WRONG_USAGE
    from deployments.deploy import call

    return call(sys.argv[1:])


survive_without_reader()
sys.exit(main())
