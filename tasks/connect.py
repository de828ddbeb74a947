"""The client a task talks to Close with."""

from prefect.blocks.system import Secret
from pydantic import SecretStr, ValidationError

from tasks.close.client import CloseClient
from tasks.close.settings import CloseSettings, settings_problem
from tasks.outcomes import Refused


def settings() -> CloseSettings:
    """CLOSE_* from the environment and ``.env``; the key from the Secret block that CLOSE_API_KEY_BLOCK names.

    Read when a task runs, never at import: deployments are registered on machines that have no key. The block is
    loaded here, so that the key is in no parameter, no deployment and no process environment.
    """
    try:
        found = CloseSettings()
    except ValidationError as error:
        raise Refused(settings_problem(error)) from None
    if found.api_key_block and not (found.api_key or found.access_token):
        return found.model_copy(update={"api_key": SecretStr(_secret(found.api_key_block))})
    return found


def _secret(name: str) -> str:
    try:
        block = Secret[str].load(name, _sync=True)  # pyright: ignore[reportCallIssue, reportUnknownVariableType, reportUnknownMemberType]
    except ValueError:
        raise Refused(
            f"There is no Secret block {name!r}, which CLOSE_API_KEY_BLOCK names: create it with `make deploy`."
        ) from None
    return str(block.get())  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def connect() -> CloseClient:
    """A new client; use it as a context manager."""
    return CloseClient(settings())
