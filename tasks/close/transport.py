"""Sending a request to Close: one place for waiting, trying again, rate limits and errors."""

import logging
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from importlib.metadata import version
from ssl import SSLContext
from typing import Any, Literal, cast

import httpx

from tasks.close.answers import broken_download, no_answer, refusal, unusable_answer
from tasks.close.errors import CloseError, CloseUnavailable, MissingKey, RateLimited
from tasks.close.settings import CloseSettings

JSON = Mapping[str, Any]

TRIES = 7
# Seconds.
LONGEST_CONNECT = 10.0
LONGEST_BACKOFF = 30.0
READ_PATIENCE = 120.0  # from the first try, within which another may begin
START_PATIENCE = 10.0  # the same; short, since whoever starts a bulk delete has just checked that it should be
DEFAULT_RETRY_AFTER = 2.0  # for a 429 that doesn't say

# Close documents commas; semicolons and decimals are what it sends.
_RATE_LIMIT = re.compile(r"limit=(\d{1,9})\s*[,;]\s*remaining=(\d{1,9})\s*[,;]\s*reset=(\d{1,9}(?:\.\d+)?)")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RateLimit:
    """What Close said of an endpoint's limit: requests, and seconds until they are renewed, as of `seen` (clock)."""

    limit: int
    remaining: int
    reset: float
    seen: float


@dataclass(frozen=True)
class Request:
    """One request. Close counts its rate limits by method and *endpoint*, which keeps its `{id}`."""

    method: Literal["GET", "POST", "PUT"]
    endpoint: str
    id: str = ""
    params: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    body: JSON | None = None

    def __post_init__(self) -> None:
        if "{id}" in self.endpoint and not re.fullmatch(r"\w+", self.id, re.ASCII):
            raise ValueError(f"{self.id!r} is not an id of Close; an id is letters, digits and underscores.")

    @property
    def path(self) -> str:
        """Where it goes, below CLOSE_API_URL."""
        return self.endpoint.replace("{id}", self.id)

    @property
    def bucket(self) -> str:
        """What Close counts it under."""
        return f"{self.method} {self.endpoint}"


class Transport:
    """Sends requests and answers with JSON objects, or raises a CloseError. Safe to use from several threads."""

    def __init__(
        self,
        settings: CloseSettings,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self.rate_limits: dict[str, RateLimit] = {}
        self.time: datetime | None = None
        """When Close answered last, to the second, by its own clock; None where it doesn't say."""
        self._sleep, self._clock, self._random = sleep, clock, random
        self._pool = _connect(settings, httpx.Limits())
        # A kept connection may be closed by the other side just as we write to it, and nobody could say what happened.
        self._unpooled = _connect(settings, httpx.Limits(max_keepalive_connections=0))
        self._settings = settings

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()
        self._unpooled.close()

    def read(self, request: Request) -> JSON:
        """Send what changes nothing; tried again whenever there is no usable answer."""
        return self._persist(self._pool, request, _is_transient, READ_PATIENCE)

    def start(self, request: Request) -> JSON:
        """Send what must happen once, on a connection of its own; tried again only if Close can't have accepted it."""
        return self._persist(self._unpooled, request, _is_transient_and_refused, START_PATIENCE)

    def create(self, request: Request) -> JSON:
        """Send what makes one new object; tried again only if Close can't have accepted it, but as patiently as a read.

        On a kept connection, since there may be thousands. Whoever creates must look again after an ambiguous answer.
        """
        return self._persist(self._pool, request, _is_transient_and_refused, READ_PATIENCE)

    def write(self, request: Request) -> JSON:
        """Send what is not tried again."""
        return self._exchange(self._unpooled, request)

    @contextmanager
    def download(self, url: str, path: str) -> Generator[Iterator[bytes]]:
        """What lies at *url*, unpacked, a chunk at a time. The key isn't sent there: it is no address of the API.

        *path* stands for it in errors, which are all CloseUnavailable.
        """
        if not url.startswith("https://") and not self._settings.on_this_machine:
            raise broken_download(path, "its address isn't https, and would show the leads to the network")
        try:
            with _open(self._settings, httpx.Limits()) as client, client.stream("GET", url) as response:
                if response.status_code != 200:
                    raise broken_download(path, f"the answer is {response.status_code}")
                yield _chunks(response, path)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise broken_download(path, type(error).__name__) from error

    def _persist(
        self, client: httpx.Client, request: Request, again: Callable[[CloseError], bool], patience: float
    ) -> JSON:
        deadline = self._clock() + patience
        tries = 0
        while True:
            tries += 1
            self._pace(request, deadline)
            try:
                return self._exchange(client, request)
            except CloseError as error:
                wait = self._back_off(error, tries)
                if not again(error) or tries == TRIES or self._clock() + wait > deadline:
                    raise
                logger.info("%s %s has no usable answer. Trying again in %.1f s.", request.method, request.path, wait)
                self._sleep(wait)

    def _back_off(self, error: CloseError, tries: int) -> float:
        """Seconds to wait: as long as Close says, or longer each time. Random, so that not all come back at once."""
        if isinstance(error, RateLimited):
            return error.retry_after + self._random()
        return self._random() * min(LONGEST_BACKOFF, 2.0 ** (tries - 1))

    def _pace(self, request: Request, deadline: float) -> None:
        """Wait for the limit to be renewed rather than meet a 429 that we can see coming."""
        limit = self.rate_limits.get(request.bucket)
        if limit and limit.remaining == 0:
            wait = min(limit.seen + limit.reset, deadline) - self._clock()
            if wait > 0:
                self._sleep(wait)

    def _exchange(self, client: httpx.Client, request: Request) -> JSON:
        try:
            response = client.request(request.method, request.path, params=request.params, json=request.body)
        except httpx.RequestError as error:
            raise no_answer(request.method, request.path, error) from error
        self.time = _date(response) or self.time
        limit = self._note_rate_limit(request, response)
        if not response.is_success:
            raise refusal(request.method, request.path, response, retry_after=_retry_after(response, limit))
        try:
            body = response.json()
        except ValueError as error:
            raise unusable_answer(request.method, request.path, "it is not JSON", response) from error
        if not isinstance(body, dict):
            raise unusable_answer(request.method, request.path, "it is not a JSON object", response)
        return cast("JSON", body)

    def _note_rate_limit(self, request: Request, response: httpx.Response) -> RateLimit | None:
        found = _RATE_LIMIT.match(response.headers.get("ratelimit", ""))
        if not found:
            return None
        limit, remaining, reset = found.groups()
        seen = RateLimit(int(limit), int(remaining), float(reset), self._clock())
        self.rate_limits[request.bucket] = seen
        return seen


def _date(response: httpx.Response) -> datetime | None:
    try:
        return parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError):
        return None


@cache
def _certificates() -> SSLContext:
    """The certificates to trust, loaded once a process: that takes longer than a request."""
    return httpx.create_ssl_context()


def _chunks(response: httpx.Response, path: str) -> Iterator[bytes]:
    try:
        yield from response.iter_bytes()
    except httpx.RequestError as error:  # not only lost connections: what can't be unpacked, too
        raise broken_download(path, type(error).__name__) from error


def _connect(settings: CloseSettings, limits: httpx.Limits) -> httpx.Client:
    """A client that sends the key, to CLOSE_API_URL."""
    headers: dict[str, str] = {}
    auth = None
    if settings.api_key:
        auth = httpx.BasicAuth(settings.api_key.get_secret_value(), "")
    elif settings.access_token:
        headers["Authorization"] = f"Bearer {settings.access_token.get_secret_value()}"
    else:
        raise MissingKey("No API key is set: make one in Close under Settings, Developer, and set CLOSE_API_KEY.")
    return _open(settings, limits, base_url=settings.api_url, auth=auth, headers=headers)


def _open(settings: CloseSettings, limits: httpx.Limits, **more: Any) -> httpx.Client:
    client = httpx.Client(
        **more,
        timeout=httpx.Timeout(settings.timeout, connect=min(settings.timeout, LONGEST_CONNECT)),
        limits=limits,
        verify=_certificates(),
        follow_redirects=False,  # a redirected POST may be sent again or become a GET; a redirected key may go anywhere
        trust_env=not settings.on_this_machine,  # a proxy can't reach this machine's loopback
    )
    client.headers["User-Agent"] = f"close-lead-cleanup/{version('close-lead-cleanup')}"
    return client


def _is_transient(error: CloseError) -> bool:
    """Whether asking again may help. A redirect stays a redirect."""
    redirected = error.status is not None and 300 <= error.status < 400
    return isinstance(error, CloseUnavailable | RateLimited) and not redirected


def _is_transient_and_refused(error: CloseError) -> bool:
    return _is_transient(error) and error.nothing_started


def _retry_after(response: httpx.Response, limit: RateLimit | None) -> float:
    """Seconds until Close wants to hear from us again."""
    if limit:
        return limit.reset
    seconds: str = response.headers.get("retry-after", "")
    return float(seconds) if re.fullmatch(r"\d{1,9}(\.\d+)?", seconds) else DEFAULT_RETRY_AFTER
