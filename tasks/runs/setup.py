"""Whether Prefect can be imported and used with what the environment says. Importing this doesn't import Prefect."""

from pydantic import ValidationError

from tasks.close.network import environment_problem
from tasks.close.problems import problems


def setup_problem() -> str | None:
    """What keeps Prefect from being used: a proxy, certificates or a setting of its own. None if nothing does."""
    if problem := environment_problem():
        return problem
    try:
        from prefect.settings import get_current_settings

        get_current_settings()
    except ValidationError as error:
        return f"A setting of Prefect, PREFECT_…, can't be used: {problems(error)}."
    return None
