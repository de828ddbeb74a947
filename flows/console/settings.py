"""Settings for a command: valid, or one sentence that says what is wrong."""

import os

from pydantic import ValidationError

from flows.console.terminal import Usage
from tasks.close.settings import CloseSettings, settings_problem

NO_KEY = (
    "No API key is set: make one in Close under Settings, Developer, API Keys, and set CLOSE_API_KEY "
    "(or try `lead-cleanup demo`, which needs none)."
)


def close_settings() -> CloseSettings:
    """CLOSE_* from the environment and ``.env``. Raises `Usage` when they can't be used."""
    try:
        return CloseSettings()
    except ValidationError as error:
        raise Usage(settings_problem(error)) from None


def turn_off_analytics() -> None:
    """Turn off Prefect's analytics, unless the user has set them.

    Its temporary server does by default, and complains where there is no network; at a terminal its client announces
    that amid a command's output.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")


def check_environment() -> None:
    """Raise `Usage` for a proxy, certificates or a setting with which Prefect can't be used."""
    from tasks.runs.setup import setup_problem

    if problem := setup_problem():
        raise Usage(problem)


def settings_with_key(*, block: bool = False) -> CloseSettings:
    """CLOSE_* with a key. With *block*, the name of a Secret block will do, which a run reads. Raises `Usage`."""
    settings = close_settings()
    if settings.api_key or settings.access_token or (block and settings.api_key_block):
        return settings
    if settings.api_key_block:
        raise Usage("The key is in the Secret block of CLOSE_API_KEY_BLOCK, which only runs read: set CLOSE_API_KEY.")
    raise Usage(NO_KEY)
