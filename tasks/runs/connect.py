"""Clients of Close and Prefect for tasks. What Prefect's client raises becomes an error of `prefect_errors`."""

import logging
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import TypeVar, cast

from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import SettingsContext, get_settings_context
from pydantic import ValidationError

from tasks.close.client import CloseClient
from tasks.close.errors import CloseError, WrongOrganization
from tasks.close.settings import CloseSettings, settings_problem
from tasks.runs.outcomes import Refused, Stop
from tasks.runs.prefect_errors import (
    PREFECT_ERRORS,
    UNUSABLE_SETTINGS,
    PrefectUnavailable,
    WrongPrefectSettings,
    prefect_error,
)

logger = logging.getLogger(__name__)

sleep, clock = time.sleep, time.monotonic
"""The clock of every wait for Close, which tests replace."""

WRITE_SECONDS, REWRITE_SECONDS = 30.0, 1.0
"""For how long, and after how long each time, to repeat a write that the Prefect server doesn't accept."""

PAGE = 200
"""How many objects of a list Prefect returns at most at a time."""

Found = TypeVar("Found")
Written = TypeVar("Written")


@contextmanager
def prefect() -> Generator[SyncPrefectClient]:
    """A client of the Prefect server. Raises `PrefectUnavailable` for all errors of settings, connection and server."""
    try:
        unopened = get_client(sync_client=True)
    except UNUSABLE_SETTINGS as error:
        raise prefect_error(error) from error
    try:
        with unopened as client:
            yield client
    except PREFECT_ERRORS as error:
        raise prefect_error(error) from error


def check_prefect() -> None:
    """Raise `PrefectUnavailable` unless the Prefect server answers and accepts the credentials. Changes nothing."""
    with prefect() as server:
        if problem := server.api_healthcheck():
            raise prefect_error(problem) from problem
        try:
            server.read_variables(limit=1)  # a server answers /health without credentials
        except ValueError as error:
            raise WrongPrefectSettings("PREFECT_API_URL: what answers there is no Prefect API.") from error


def all_pages(read_page: Callable[..., list[Found]]) -> Iterator[Found]:
    """Everything that the pages of a list have, read by a method of Prefect's client with *limit* and *offset*."""
    offset = 0
    while page := read_page(limit=PAGE, offset=offset):
        yield from page
        offset += len(page)


def repeat_write(write: Callable[[], Written]) -> Written:
    """Call *write* until the Prefect server accepts it, for half a minute; return what it returns.

    *write* must read again what it changes, since others may have changed it meanwhile. So Prefect's client, which
    would repeat the same request, does not. Raises `PrefectUnavailable` in the end.
    """
    deadline = time.monotonic() + WRITE_SECONDS
    while True:
        try:
            with _without_retries():
                return write()
        except PrefectUnavailable as error:
            if time.monotonic() >= deadline:
                raise
            logger.warning("%s Trying again.", error)
        time.sleep(REWRITE_SECONDS)


@contextmanager
def _without_retries() -> Generator[None]:
    """A block in which Prefect's client sends each request once. After a 503 it waits two seconds all the same.

    Prefect's ``temporary_settings`` would do, but checks all settings again, which takes longer than the request.
    """
    context = get_settings_context()
    client = context.settings.client.model_copy(update={"max_retries": 0})
    settings = context.settings.model_copy(update={"client": client})
    with SettingsContext(profile=context.profile, settings=settings):
        yield


def plain(moment: datetime) -> datetime:
    """A *moment* from Prefect's client as a `datetime` of the standard library (UTC).

    Before Python 3.13 the client returns Pendulum's, whose ``replace`` and other methods emit Prefect's deprecation
    warnings. Every moment that is kept in a run, a record or a report is converted here.
    """
    return datetime.fromisoformat(moment.isoformat()).astimezone(UTC)


@dataclass(frozen=True)
class Identity:
    """Whose key it is, and in which organisation."""

    user_id: str
    organization_id: str


_known: dict[CloseSettings, Identity] = {}
"""The identity behind the key of each settings; a key never changes its user or organisation."""
_clients: dict[CloseSettings, CloseClient] = {}
"""One for each settings, for all threads, so that what Close says of its rate limits is known to all of them."""
_making, _replacing = Lock(), Lock()
"""Held while a client is made, and while a key is replaced, which may take as long as Close is away."""


def remember(settings: CloseSettings, identity: Identity) -> None:
    """Store whose key it is, so that this process needn't ask Close again before it deletes."""
    _known[settings] = identity


def read_settings() -> CloseSettings:
    """CLOSE_* from the environment and ``.env``; the key from the Secret block that CLOSE_API_KEY_BLOCK names.

    Read when a task runs, never at import: deployments are registered on machines without a key. The block is loaded
    here, so that the key is in no parameter, deployment or process environment; and each time, since keys are replaced.
    """
    try:
        settings = CloseSettings()
        return settings.with_api_key(_secret(settings.api_key_block)) if settings.api_key_block else settings
    except ValidationError as error:
        raise Refused(settings_problem(error)) from None


def _secret(name: str) -> str:
    try:
        block = cast("Secret[str]", Secret.load(name))  # pyright: ignore[reportUnknownMemberType]
    except ValueError:
        raise Refused(
            f"There is no Secret block {name!r}, which CLOSE_API_KEY_BLOCK names. "
            "Create it in Prefect, under Blocks; `make deploy` creates the one called close-api-key."
        ) from None
    except PREFECT_ERRORS as error:
        raise prefect_error(error) from error
    return block.get()


@contextmanager
def connect(organization_id: str | None = None, *, user_id: str | None = None) -> Generator[CloseClient]:
    """This process's client for the settings as they are now. It stays open.

    With *organization_id*, checks that the key belongs to it, and with *user_id* that it is that user's: settings may
    have changed since the plan. Raises `WrongOrganization` or `Refused` if not.
    """
    settings = read_settings()
    close = client(settings)
    if organization_id is not None:
        _check(close, settings, organization_id, user_id)
    yield close


def client(settings: CloseSettings) -> CloseClient:
    """This process's client with these settings."""
    with _making:
        if settings not in _clients:
            _clients[settings] = CloseClient(settings, sleep=_sleep, clock=_clock, renew=partial(_replaced, settings))
        return _clients[settings]


def _sleep(seconds: float) -> None:  # as it is when it is called: a client outlives what tests replace
    sleep(seconds)


def _clock() -> float:
    return clock()


def forget_clients() -> None:
    """Close all connections, and forget whose keys they had."""
    with _making:
        for each in _clients.values():
            each.close()
        _clients.clear()
        _known.clear()


def _replaced(settings: CloseSettings) -> CloseSettings | None:
    """*settings*, whose key Close rejects, with the one in its Secret block.

    None unless that is another of the same user. A task begins with the key that is in the block: this is for one that
    is replaced while the task runs.
    """
    if settings.api_key_block is None or settings not in _known:
        return None
    with _replacing:
        try:
            other = settings.with_api_key(_secret(settings.api_key_block))
            if other not in _known:
                with CloseClient(other, sleep=_sleep, clock=_clock) as close:
                    remember(other, Identity(close.me().id, close.organization_id()))
        except (CloseError, Stop, ValidationError) as error:
            logger.warning("Close rejects the key, and the Secret block has none that can be used: %s", error)
            return None
    return other if other != settings and _known[other] == _known[settings] else None


def _check(close: CloseClient, settings: CloseSettings, organization_id: str, user_id: str | None) -> None:
    if settings not in _known:
        remember(settings, Identity(close.me().id, close.organization_id()))
    who = _known[settings]
    if who.organization_id != organization_id:
        raise WrongOrganization(
            f"The API key belongs to {who.organization_id} now, but this run is for {organization_id}: use "
            "that organisation's key."
        )
    if user_id is not None and who.user_id != user_id:
        raise Refused(
            f"The API key is now that of {who.user_id}, but the plan shows what {user_id} sees: make a new one."
        )
