"""Close and Prefect as a task meets them: a client with settings and key, and what is raised when Prefect is away."""

from typing import cast

import httpx
from prefect.blocks.system import Secret
from prefect.exceptions import PrefectException
from pydantic import ValidationError

from tasks.close.client import CloseClient
from tasks.close.settings import CloseSettings, settings_problem
from tasks.outcomes import Refused

PREFECT_AWAY = (PrefectException, httpx.HTTPError)
"""What Prefect's client raises when its server can't be reached, or refuses."""


def settings() -> CloseSettings:
    """CLOSE_* from the environment and ``.env``; the key from the Secret block that CLOSE_API_KEY_BLOCK names.

    Read when a task runs, never at import: deployments are registered on machines that have no key. The block is
    loaded here, so that the key is in no parameter, no deployment and no process environment.
    """
    try:
        found = CloseSettings()
        return found.with_api_key(_secret(found.api_key_block)) if found.api_key_block else found
    except ValidationError as error:
        raise Refused(settings_problem(error)) from None


def _secret(name: str) -> str:
    try:
        block = cast("Secret[str]", Secret.load(name))  # pyright: ignore[reportUnknownMemberType]
    except ValueError:
        raise Refused(
            f"There is no Secret block {name!r}, which CLOSE_API_KEY_BLOCK names. "
            "Make it in Prefect, under Blocks; `make deploy` makes the one called close-api-key."
        ) from None
    return block.get()


def connect() -> CloseClient:
    """A new client; use it as a context manager."""
    return CloseClient(settings())
