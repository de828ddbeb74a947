"""From Close's answers, and from none, to a CloseError: one sentence that says what to do."""

import math
import re
from collections.abc import Iterator
from typing import Any, cast

import httpx

from tasks.close.errors import (
    HARMLESS_POSTS,
    BadRequest,
    CloseError,
    CloseUnavailable,
    Facts,
    InvalidQuery,
    NotAllowed,
    NotFound,
    RateLimited,
    WrongKey,
)
from tasks.close.request import Request

LONGEST_TEXT = 500  # characters of a rejection; what is longer is an error page

_REFUSED: dict[int, tuple[type[CloseError], str]] = {
    # Close's web framework answers a missing permission with 401 too, so only /me/ speaks of the key for certain.
    401: (
        WrongKey,
        "Close refuses {request} (401): the API key is wrong, or its user may not do this. "
        "Check CLOSE_API_KEY and the user's role.",
    ),
    402: (NotAllowed, "The organisation's Close plan doesn't include {request} (402): ask Close to add it."),
    403: (
        NotAllowed,
        "Close doesn't let the API key's user do {request} (403): "
        "use the key of a user whose role may; Admins and Super Users may export and bulk delete.",
    ),
    404: (
        NotFound,
        "Close doesn't know {request.path} (404): it is deleted, belongs to another organisation, or CLOSE_API_URL is "
        "wrong.",
    ),
}
_WRONG_KEY = "Close refuses the API key (401): check CLOSE_API_KEY or CLOSE_ACCESS_TOKEN, or make a new one in Close."


def no_answer(request: Request, error: httpx.RequestError) -> CloseUnavailable:
    """The error for a request that got no answer."""
    # A ProxyError is a proxy's refusal to connect to Close: our request wasn't sent yet.
    unreached = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if found := re.fullmatch(r"\[Errno -?\d+\] (.+)", str(error)):
        what = found[1].lower()
    if why := distrusted(error):
        message = (
            f"The certificate of Close isn't trusted here ({why}): if your network puts one of its own in place, set "
            "SSL_CERT_FILE to a file with the certificates that you trust."
        )
    elif unreached:
        url = error.request.url
        where = f"{url.scheme}://{url.netloc.decode()}"  # without a path, a query or a key
        message = f"Close at {where} can't be reached ({what}): check the network, any proxy, and CLOSE_API_URL."
    else:
        message = f"No answer from Close to {request} ({what}): {_what_to_do(request)}"
    return CloseUnavailable(message, maybe_accepted=not unreached, **_facts(request))


def distrusted(error: Exception) -> str | None:
    """Why a server's certificate isn't trusted here, in the words of OpenSSL; None for another error."""
    found = re.search(r"CERTIFICATE_VERIFY_FAILED\] certificate verify failed: (.*?)(?: \(_ssl|$)", str(error))
    return found[1] if found else None


def not_sent(request: Request) -> CloseUnavailable:
    """The error for a request that would come too late: what was checked before it may no longer hold."""
    message = f"This machine slept before {request} was sent. It wasn't: what was checked may have changed. Try again."
    return CloseUnavailable(message, maybe_accepted=False, **_facts(request))


def unusable_answer(request: Request, why: str, response: httpx.Response | None = None) -> CloseUnavailable:
    """The error for a successful answer that isn't what Close documents; with its trace id, if *response* is given."""
    message = f"Close's answer to {request} can't be used ({why}{_trace(response)}): {_what_to_do(request)}"
    return CloseUnavailable(message, **_facts(request, response))


def broken_download(path: str, why: str) -> CloseUnavailable:
    """The error for an export's file that is incomplete. Its address must not be in *why*: it opens the file."""
    return CloseUnavailable(
        f"The file of {path} can't be downloaded ({why}): try again later.", method="GET", path=path
    )


def refusal(request: Request, response: httpx.Response, *, retry_after: float) -> CloseError:
    """The error for an answer that is no success. *retry_after* (seconds) is for a 429 only."""
    status = response.status_code
    facts = _facts(request, response)
    if status == 401 and request.path == "/me/":
        error = WrongKey(_WRONG_KEY, **facts)
    elif status in _REFUSED:
        kind, message = _REFUSED[status]
        error = kind(message.format(request=request), **facts)
    elif status == 429:
        message = f"Close's rate limit for {request} is used up: try again in {math.ceil(retry_after)} s."
        error = RateLimited(message, retry_after=retry_after, **facts)
    elif 300 <= status < 400:
        message = f"Close answers {request} with a redirect ({status}): check CLOSE_API_URL; {_what_to_do(request)}"
        error = CloseUnavailable(message, **facts)
    elif status >= 500 or status == 408:
        message = f"Close has a problem with {request} ({status}{_trace(response)}): {_what_to_do(request)}"
        error = CloseUnavailable(message, **facts)
    else:
        fields, text = _rejection(response)
        message = f"Close rejects {request} ({status}): {text or 'it gives no reason.'}"
        error = BadRequest(message, field_errors=fields, **facts)
        if error.names("query", "s_query"):
            error = InvalidQuery(message, field_errors=fields, **facts)
    return error


def _facts(request: Request, response: httpx.Response | None = None) -> Facts:
    facts: Facts = {"method": request.method, "path": request.path}
    return facts if response is None else {**facts, "status": response.status_code}


def _trace(response: httpx.Response | None) -> str:
    """Close's id of its answer, for a question to its support. Not documented, but seen on every answer."""
    found = response.headers.get("trace-id") if response is not None else None
    return f", trace id {found}" if found else ""


def _what_to_do(request: Request) -> str:
    """What to do if it isn't known what happened. After a POST, "try again" would be the way to delete twice."""
    if request.method == "GET" or request.path in HARMLESS_POSTS:
        return "try again later."
    return "it may have taken effect; look in Close before you try again."


def _rejection(response: httpx.Response) -> tuple[dict[str, str], str]:
    """Return Close's reasons, by field and as one text. They are in `field-errors` and `errors`, or in `error`."""
    try:
        body = response.json()
    except ValueError:
        return {}, ""
    if not isinstance(body, dict):
        return {}, ""
    answer = cast("dict[str, Any]", body)
    fields = dict(_flatten(answer.get("field-errors")))
    others = [text for key in ("errors", "error") for _, text in _flatten(answer.get(key))]
    text = " ".join(dict.fromkeys([*(f"{name}: {text}" for name, text in fields.items()), *others]))
    return fields, text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"


def _flatten(node: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts of a nested error, each with its dotted path. A list nests as `{"errors": {"<index>": …}}`."""
    if isinstance(node, dict):
        for key, value in cast("dict[str, object]", node).items():
            yield from _flatten(value, path if key == "errors" and path else f"{path}.{key}".lstrip("."))
    elif isinstance(node, list):
        for value in cast("list[object]", node):
            yield from _flatten(value, path)
    elif node is not None and node != "":
        # Close may quote what it was sent. Only what looks like a key has no business in an error.
        yield path, re.sub(r"api_\w+\.\w+", "api_…", " ".join(str(node).split()))
