"""Close and Prefect as a task meets them: clients, who we are, and one sentence when Prefect is away."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import httpx
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectException
from pydantic import ValidationError

from tasks.close.client import CloseClient
from tasks.close.errors import WrongOrganization
from tasks.close.settings import CloseSettings, settings_problem
from tasks.runs.outcomes import Outcome, Refused, Stop

sleep, clock = time.sleep, time.monotonic
"""What every wait for Close goes by; a test puts others here, and hours pass in no time."""

PREFECT_ERRORS = (PrefectException, httpx.HTTPError)
"""What Prefect's client raises when its server can't be reached, or refuses."""


class PrefectAway(Stop):
    """The Prefect server can't be reached, or refuses; the record, the stop and the evidence are there."""

    def __init__(self, error: Exception) -> None:
        answer = f"answers {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else "is away"
        super().__init__(
            Outcome.FAILED,
            f"The Prefect server {answer} ({type(error).__name__}). Try this run again when it is back: a run starts "
            "nothing twice.",
        )
        self.args = (error,)  # what the exception is built from again after pickling


@contextmanager
def prefect() -> Generator[SyncPrefectClient]:
    """A client of the Prefect server. Raises `PrefectAway` for whatever goes wrong between us and it."""
    try:
        with get_client(sync_client=True) as client:
            yield client
    except PREFECT_ERRORS as error:
        raise PrefectAway(error) from error


def plain(moment: datetime) -> datetime:
    """*moment*, as Prefect's client gives it, as a `datetime` of Python's own (UTC).

    Before Python 3.13 the client gives Pendulum's, which Prefect is giving up: their ``replace`` and others warn. What
    goes on from the client into a run, a record or a report goes through here.
    """
    return datetime.fromisoformat(moment.isoformat()).astimezone(UTC)


@dataclass(frozen=True)
class Identity:
    """Whose key it is, and in which organisation."""

    user_id: str
    organization_id: str


_known: dict[CloseSettings, Identity] = {}
"""What Close has said of a key: it belongs to one user in one organisation for as long as it lives."""


def remember(known: CloseSettings, identity: Identity) -> None:
    """Note what Close has said of a key, so that this process needn't ask again before it deletes."""
    _known[known] = identity


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
    except PREFECT_ERRORS as error:
        raise PrefectAway(error) from error
    return block.get()


def connect(organization_id: str | None = None, *, user_id: str | None = None) -> CloseClient:
    """A new client; use it as a context manager.

    With *organization_id*, proves that the key acts there, and with *user_id* that it is that user's: settings may have
    changed since the plan, and a query for one organisation must not run in another. Raises WrongOrganization and
    `Refused` otherwise.
    """
    found = settings()
    close = client(found)
    if organization_id is None:
        return close
    try:
        _prove(close, found, organization_id, user_id)
    except BaseException:
        close.close()
        raise
    return close


def client(found: CloseSettings) -> CloseClient:
    """A client with these settings."""
    return CloseClient(found, sleep=sleep, clock=clock)


def _prove(close: CloseClient, found: CloseSettings, organization_id: str, user_id: str | None) -> None:
    if found not in _known:
        remember(found, Identity(close.me().id, close.organization_id()))
    who = _known[found]
    if who.organization_id != organization_id:
        raise WrongOrganization(
            f"The API key belongs to {who.organization_id} now, but this run is for {organization_id}: give it that "
            "organisation's key again."
        )
    if user_id is not None and who.user_id != user_id:
        raise Refused(
            f"The API key is now that of {who.user_id}, but the leads were planned as {user_id} sees them: make a new "
            "plan."
        )
