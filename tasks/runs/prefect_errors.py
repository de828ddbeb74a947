"""Why the Prefect server doesn't do what is asked, as one small tree.

PrefectUnavailable        no connection, no answer, or a problem of the server (5xx)
├── WrongPrefectSettings  its address, credentials, certificates or a proxy: a setting must change (401, 403)
├── NotInPrefect          404: it was deleted, or is on another server
└── PrefectRefuses        any other refusal

Each is one sentence that says what to do, and shows neither a password nor what was sent.
"""

from textwrap import shorten
from typing import Any, cast

import httpx
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_API_URL

from tasks.close.answers import distrusted
from tasks.close.network import environment_problem
from tasks.runs.outcomes import Outcome, Stop

PREFECT_ERRORS = (PrefectException, httpx.HTTPError)
"""What Prefect's client raises when its server can't be reached, or refuses."""
UNUSABLE_SETTINGS = (OSError, ValueError, ImportError, OverflowError, httpx.InvalidURL)
"""What the client raises when it can't use a proxy, a file of certificates or an address."""
WRONG_SETTINGS = 2  # exit code
LONGEST_REASON = 200  # characters; the server may repeat all that it was sent

_UNREACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


class PrefectUnavailable(Stop):
    """The Prefect server, which has the record, the stop and the evidence, can't be reached, or has a problem."""

    def __init__(self, message: str, *, maybe_accepted: bool = False) -> None:
        super().__init__(Outcome.FAILED, message)
        self.maybe_accepted = maybe_accepted
        """Whether what was asked may have been done all the same."""
        self.args = (message,)  # unpickling calls the class with these


class WrongPrefectSettings(PrefectUnavailable):
    """The server can't be used with these settings."""

    @property
    def exit_code(self) -> int:
        """That of wrong settings."""
        return WRONG_SETTINGS


class NotInPrefect(PrefectUnavailable):
    """The server doesn't have what was asked for."""


class PrefectRefuses(PrefectUnavailable):
    """The server refuses a request."""


def prefect_error(error: Exception) -> PrefectUnavailable:
    """What Prefect's client has raised, or building it, as one of this tree."""
    cause = _http_error(error)
    if isinstance(cause, httpx.HTTPStatusError):
        return _refusal(cause.request, cause.response)
    if isinstance(cause, httpx.RequestError):
        return _no_answer(cause)
    if isinstance(error, UNUSABLE_SETTINGS):
        which = "PREFECT_API_SSL_CERT_FILE" if isinstance(error, OSError) else "PREFECT_API_URL"
        return WrongPrefectSettings(environment_problem() or f"{which}: it can't be used ({_first_line(error)}).")
    return PrefectRefuses(f"Prefect could not do what was asked ({type(error).__name__}: {_first_line(error)}).")


def _http_error(error: BaseException | None) -> httpx.HTTPError | None:
    """The answer, or lack of one, that *error* is about: Prefect wraps some of them."""
    while error is not None and not isinstance(error, httpx.HTTPError):
        error = cast("BaseException | None", getattr(error, "http_exc", None)) or error.__cause__
    return error


def _no_answer(error: httpx.RequestError) -> PrefectUnavailable:
    what = type(error).__name__
    if isinstance(error, httpx.UnsupportedProtocol):
        return WrongPrefectSettings("PREFECT_API_URL: it is not an address; write http://HOST:PORT/api.")
    if why := distrusted(error):
        variable = "PREFECT_API_SSL_CERT_FILE or SSL_CERT_FILE"
        return WrongPrefectSettings(
            f"The certificate of the Prefect server at {_url()} isn't trusted here ({why}): set {variable} to a file "
            "with the certificates that you trust."
        )
    if isinstance(error, _UNREACHED):
        return PrefectUnavailable(
            f"{_server()} can't be reached ({what}): check PREFECT_API_URL, any proxy, and that it runs."
        )
    return PrefectUnavailable(
        f"{_server()} doesn't answer ({what}): check that it runs.", maybe_accepted=_changes(error.request)
    )


def _refusal(request: httpx.Request, response: httpx.Response) -> PrefectUnavailable:
    status, what = response.status_code, f"{request.method} {_path(request)}"
    if status == 401:
        return WrongPrefectSettings(f"{_server()} {_credentials()}.")
    if status == 403:
        return WrongPrefectSettings(f"{_server()} forbids {what} (403): check what the credentials set here may do.")
    if status == 404 and _path(request) == "/health":
        return WrongPrefectSettings(f"There is no Prefect API at {_url()}: PREFECT_API_URL usually ends in /api.")
    if status == 404:
        return NotInPrefect(
            f"{_server()} has no {_object(request)}: it was deleted, or PREFECT_API_URL names another server."
        )
    if status >= 500 or status in (408, 429):
        return PrefectUnavailable(
            f"{_server()} has a problem with {what} ({status}): look into its log.",
            maybe_accepted=_changes(request),
        )
    return PrefectRefuses(f"{_server()} refuses {what} ({status}): {_reason(response)}")


def _credentials() -> str:
    """What is wrong with the credentials, and which setting changes that."""
    if not PREFECT_API_AUTH_STRING.value() and not PREFECT_API_KEY.value():
        return "requires credentials (401), and none are set: set PREFECT_API_AUTH_STRING to USER:PASSWORD"
    which = "PREFECT_API_AUTH_STRING" if PREFECT_API_AUTH_STRING.value() else "PREFECT_API_KEY"
    return f"refuses the credentials (401): set {which} to those of that server"


def _reason(response: httpx.Response) -> str:
    """The first reason that Prefect names, in one line. The rest of its answer repeats what it was sent."""
    try:
        answer: Any = response.json()
        details: Any = answer.get("exception_detail") or answer.get("detail") or answer.get("exception_message")
        reason = str(details if isinstance(details, str) else details[0]["msg"])
    except (ValueError, AttributeError, LookupError, TypeError):
        reason = "it gives no reason"
    return shorten(reason.removeprefix("Value error, "), LONGEST_REASON, placeholder=" …").rstrip(".") + "."


def _changes(request: httpx.Request) -> bool:
    return request.method != "GET"


def _object(request: httpx.Request) -> str:
    """What was asked for: ``work pool lead-cleanup``."""
    kind, *name = [each for each in _path(request).split("/") if each]
    return " ".join([kind.removesuffix("s").replace("_", " "), *(each for each in name if each != "name")])


def _path(request: httpx.Request) -> str:
    return request.url.path.removeprefix(httpx.URL(_url()).path.rstrip("/") or "/api")


def _server() -> str:
    return f"The Prefect server at {_url()}" if PREFECT_API_URL.value() else "The temporary Prefect server"


def _url() -> str:
    """The server's address, without a password."""
    try:
        return str(httpx.URL(PREFECT_API_URL.value() or "").copy_with(userinfo=b""))
    except httpx.InvalidURL:
        return "PREFECT_API_URL"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0][:LONGEST_REASON].rstrip(".")
