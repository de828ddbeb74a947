"""``make deploy``: checks what would break the import of Prefect, then does what deploy.py says."""

import sys

from pydantic import ValidationError

from flows.console.streams import survive_without_reader
from flows.console.terminal import WRONG_USAGE, say
from tasks.close.network import environment_problem
from tasks.close.problems import problems


def main() -> int:
    """Deploy, and return the exit code."""
    if problem := environment_problem():
        say(problem)
        return WRONG_USAGE
    try:
        from prefect.settings import get_current_settings

        get_current_settings()
    except ValidationError as error:
        say(f"A setting of Prefect, PREFECT_…, can't be used: {problems(error)}.")
        return WRONG_USAGE
    from deployments.deploy import call

    return call(sys.argv[1:])


survive_without_reader()
sys.exit(main())
