"""Sends requests to Close: the one place for retries, rate limits and errors."""

import logging
import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any, cast

import httpx

from tasks.close.answers import broken_download, distrusted, no_answer, not_sent, refusal, unusable_answer
from tasks.close.errors import CloseError, CloseUnavailable, MissingKey, RateLimited, WrongEnvironment, WrongKey
from tasks.close.network import certificates, environment_problem
from tasks.close.rate_limits import RateLimit, RateLimits
from tasks.close.request import JSON, Request
from tasks.close.settings import CloseSettings

# Seconds.
LONGEST_CONNECT = 10.0
LONGEST_BACKOFF = 30.0
READ_PATIENCE = 120.0  # from the first attempt to the last, however many there are
START_PATIENCE = 10.0  # the same; short, so that the checks right before a bulk delete still hold
CLOCKS_DIFFER = 5.0
DEFAULT_RETRY_AFTER = 2.0  # for a 429 without a number

CHUNK = 65_536
"""Bytes of a download that are read at once: what comes in one piece may be megabytes when it is decompressed."""

logger = logging.getLogger(__name__)


class Transport:
    """Sends requests and returns JSON objects, or raises a CloseError. Safe to use from several threads."""

    def __init__(
        self,
        settings: CloseSettings,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        random: Callable[[], float],
        renew: Callable[[], CloseSettings | None],
        patience: float = READ_PATIENCE,
    ) -> None:
        self.rate_limits = RateLimits(clock=clock, sleep=sleep)
        self.time: datetime | None = None
        """When Close last answered, to the second, by its own clock (UTC); None if it didn't say."""
        self.answered_at = 0.0
        """The same by ours (seconds)."""
        self._sleep, self._clock, self._random, self._renew = sleep, clock, random, renew
        self._connect_patience = patience
        if problem := environment_problem(proxies=not settings.on_this_machine):
            raise WrongEnvironment(problem)
        self._pool = _connect(settings, httpx.Limits())
        # Close may close a kept connection while we write to it; then nobody knows whether the request arrived.
        self._unpooled = _connect(settings, httpx.Limits(max_keepalive_connections=0))
        self._settings = settings

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()
        self._unpooled.close()

    def read(self, request: Request, patience: float | None = None) -> JSON:
        """Send what may be sent again. Retried until Close answers, for two minutes or *patience* (seconds)."""
        return self._send_with_retries(self._pool, request, READ_PATIENCE if patience is None else patience)

    def start(self, request: Request) -> JSON:
        """Send what must happen once, on a new connection. Retried only if Close can't have accepted it."""
        return self._send_with_retries(self._unpooled, request, START_PATIENCE, once=True)

    def create(self, request: Request) -> JSON:
        """Send what creates one object. Retried only if Close can't have accepted it, but for as long as a read.

        On a kept connection, since there may be thousands. After an ambiguous answer the caller must search Close.
        """
        return self._send_with_retries(self._pool, request, READ_PATIENCE, once=True)

    def send_once(self, request: Request) -> JSON:
        """Send without any retry, on a new connection."""
        return self._send(self._unpooled, request)

    @contextmanager
    def download(self, url: str, path: str) -> Generator[Iterator[bytes]]:
        """Yield the file at *url*, decompressed, in chunks. Sent without the key, since it is no address of the API.

        Every error is a CloseUnavailable that names *path*, never *url*.
        """
        if not url.startswith("https://") and not self._settings.on_this_machine:
            raise broken_download(path, "its address isn't https, and would show the leads to the network")
        try:
            with _open(self._settings, httpx.Limits()) as client, client.stream("GET", url) as response:
                if response.status_code != 200:
                    raise broken_download(path, f"the answer is {response.status_code}")
                yield _chunks(response, path)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise broken_download(path, _what(error)) from error

    def _send_with_retries(
        self, client: httpx.Client, request: Request, patience: float, *, once: bool = False
    ) -> JSON:
        """Send until there is an answer, for *patience* (seconds).

        What must happen *once* is sent again only if Close can't have accepted it, and never after this machine slept.
        """
        began = self._clock()
        deadline = began + patience  # the clock may stop during a sleep; the time of day doesn't
        latest = time.time() + patience + CLOCKS_DIFFER
        attempts, renewed = 0, False
        while True:
            attempts += 1
            try:
                with self.rate_limits.room(request.bucket, deadline):
                    if once and time.time() > latest:
                        raise not_sent(request)
                    return self._send(client, request)
            except WrongKey:
                if once or renewed or not self._use_new_key():
                    raise
                renewed = True
            except CloseError as error:
                asked = error.retry_after if isinstance(error, RateLimited) else 0.0
                unreached = isinstance(error, CloseUnavailable) and error.unreached
                left = (min(deadline, began + self._connect_patience) if unreached else deadline) - self._clock()
                may_retry = error.transient and (error.nothing_started or not once)
                if not may_retry or left <= asked:
                    raise
                wait = min(asked + self._back_off(attempts), left)
                why = str(error) if unreached else _why(request, error)
                logger.info("%s Trying again in %.1f s.", why, wait)
                self._sleep(wait)

    def _back_off(self, attempts: int) -> float:
        """Return the seconds to wait besides what Close asks for: longer each time, and random against collisions."""
        return self._random() * min(LONGEST_BACKOFF, 2.0 ** min(attempts - 1, 10))

    def _use_new_key(self) -> bool:
        """Whether there is another key by now, which is used from here on: keys are replaced while a run waits."""
        found = self._renew()
        if found:
            logger.info("Close rejects the key. Continuing with the one that has replaced it.")
            for each in (self._pool, self._unpooled):
                each.auth = _by_key(found)
        return found is not None

    def _send(self, client: httpx.Client, request: Request) -> JSON:
        try:
            response = client.request(request.method, request.path, params=request.params, json=request.body)
        except httpx.RequestError as error:
            raise no_answer(request, error) from error
        self.time, self.answered_at = _date(response), self._clock()
        limit = self.rate_limits.note(request.bucket, response.headers.get("ratelimit", ""))
        if not response.is_success:
            raise refusal(request, response, retry_after=_retry_after(response, limit))
        try:
            body = response.json()
        except (ValueError, RecursionError) as error:
            raise unusable_answer(request, "it is not JSON that can be read", response) from error
        if not isinstance(body, dict):
            raise unusable_answer(request, "it is not a JSON object", response)
        return cast("JSON", body)


def _why(request: Request, error: CloseError) -> str:
    """Why *request* is sent again, in a sentence."""
    limited = isinstance(error, RateLimited)
    return f"Close limits how often {request} may be sent." if limited else f"{request} has no usable answer."


def _date(response: httpx.Response) -> datetime | None:
    """When the answer was sent (UTC); None if it doesn't say so, or not readably.

    Something in between may have added a second ``Date``. The earliest counts: a clock that is behind refuses a run,
    one that is ahead lets it delete too much.
    """
    found: list[datetime] = []
    for text in response.headers.get_list("Date"):
        with suppress(ValueError, OverflowError):
            date = parsedate_to_datetime(text)
            found.append(date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC))  # HTTP knows GMT alone
    return min(found, default=None)


def _what(error: Exception) -> str:
    """What went wrong with a download, without its address."""
    why = distrusted(error)
    return f"its certificate isn't trusted here ({why}); see SSL_CERT_FILE" if why else type(error).__name__


def _chunks(response: httpx.Response, path: str) -> Iterator[bytes]:
    try:
        for part in response.iter_bytes():
            yield from (part[begin : begin + CHUNK] for begin in range(0, len(part), CHUNK))
    except httpx.RequestError as error:  # lost connections, and content that can't be decompressed
        raise broken_download(path, type(error).__name__) from error


def _connect(settings: CloseSettings, limits: httpx.Limits) -> httpx.Client:
    """Return a client that sends the key, and only to CLOSE_API_URL."""
    if settings.access_token:
        headers = {"Authorization": f"Bearer {settings.access_token.get_secret_value()}"}
        return _open(settings, limits, base_url=settings.api_url, headers=headers)
    return _open(settings, limits, base_url=settings.api_url, auth=_by_key(settings))


def _by_key(settings: CloseSettings) -> httpx.BasicAuth:
    if settings.api_key is None:
        raise MissingKey("No API key is set: make one in Close under Settings, Developer, and set CLOSE_API_KEY.")
    return httpx.BasicAuth(settings.api_key.get_secret_value(), "")


def _open(settings: CloseSettings, limits: httpx.Limits, **more: Any) -> httpx.Client:
    client = httpx.Client(
        **more,
        timeout=httpx.Timeout(settings.timeout, connect=min(settings.timeout, LONGEST_CONNECT)),
        limits=limits,
        verify=certificates(),
        follow_redirects=False,  # a redirected POST may be sent again or become a GET; a redirected key may go anywhere
        trust_env=not settings.on_this_machine,  # a proxy can't reach this machine's loopback
    )
    client.headers["User-Agent"] = f"close-lead-cleanup/{version('close-lead-cleanup')}"
    return client


def _retry_after(response: httpx.Response, limit: RateLimit | None) -> float:
    """Return the seconds that Close asks us to wait."""
    if limit:
        return limit.reset
    seconds: str = response.headers.get("retry-after", "")
    return float(seconds) if re.fullmatch(r"\d{1,9}(\.\d+)?", seconds) else DEFAULT_RETRY_AFTER
