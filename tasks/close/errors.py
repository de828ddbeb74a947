"""What can go wrong with Close, as one small tree.

CloseError               method, path, status; a sentence that says what to do
├── CloseUnavailable     no answer that can be used: no connection, time-out, 5xx, redirect, not JSON, unexpected shape
├── RateLimited          429 for longer than we wait
├── BadRequest           400 and its kin: Close rejects what we sent
│   └── InvalidQuery     … and names a part of the query
├── WrongKey             401
│   └── MissingKey       no key is set; nothing was sent
├── NotAllowed           403, or 402: the plan doesn't include it
├── NotFound             404
├── WrongOrganization    the key works, for another organisation than expected
└── WrongEnvironment     a proxy or the certificates of the environment can't be used; nothing was sent
"""

from collections.abc import Mapping
from typing import TypedDict, Unpack

# Answers that prove that Close didn't accept the request. Every other failure is ambiguous.
_REFUSALS = frozenset({400, 401, 402, 403, 404, 405, 413, 415, 422, 429})

HARMLESS_POSTS = frozenset({"/data/search/", "/export/lead/"})
"""POSTs that change nothing, however often they are sent."""


class Facts(TypedDict, total=False):
    """What every error knows. `path` has no query string."""

    method: str
    path: str
    status: int | None


class CloseError(Exception):
    """Something went wrong with Close."""

    def __init__(self, message: str, **facts: Unpack[Facts]) -> None:
        super().__init__(message)
        self.method = facts.get("method", "")
        self.path = facts.get("path", "")
        self.status = facts.get("status")

    @property
    def nothing_started(self) -> bool:
        """Whether this proves that a POST which starts something was not accepted. Always false for reads."""
        return self._starts_something and self.status in _REFUSALS

    @property
    def transient(self) -> bool:
        """Whether the same request may have an answer later. A POST must not be sent again for that reason alone."""
        return False

    @property
    def _starts_something(self) -> bool:
        return self.method == "POST" and self.path not in HARMLESS_POSTS


class CloseUnavailable(CloseError):
    """There is no usable answer. `maybe_accepted` is false only if there was no connection."""

    def __init__(self, message: str, *, maybe_accepted: bool = True, **facts: Unpack[Facts]) -> None:
        super().__init__(message, **facts)
        self.maybe_accepted = maybe_accepted

    @property
    def nothing_started(self) -> bool:
        """Whether this proves that a POST which starts something never reached Close. Always false for reads."""
        return self._starts_something and self.unreached

    @property
    def unreached(self) -> bool:
        """Whether there was no connection."""
        return not self.maybe_accepted

    @property
    def transient(self) -> bool:
        """Whether the same request may have an answer later: not after a redirect."""
        return self.status is None or not 300 <= self.status < 400


class RateLimited(CloseError):
    """Close limits the rate of requests; `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: float = 0.0, **facts: Unpack[Facts]) -> None:
        super().__init__(message, **facts)
        self.retry_after = retry_after

    @property
    def transient(self) -> bool:
        """Always: the limit is renewed."""
        return True


class BadRequest(CloseError):
    """Close rejects what was sent; `field_errors` maps dotted paths to Close's reasons."""

    def __init__(self, message: str, *, field_errors: Mapping[str, str] | None = None, **facts: Unpack[Facts]) -> None:
        super().__init__(message, **facts)
        self.field_errors = dict(field_errors or {})

    def names(self, *fields: str) -> bool:
        """Whether Close objects to one of these fields of the body, or to something inside it."""
        return any(name.split(".")[0] in fields for name in self.field_errors)


class InvalidQuery(BadRequest):
    """Close rejects a part of the query."""


class WrongKey(CloseError):
    """Close refuses the key; or, on anything but `/me/`, perhaps the action."""


class MissingKey(WrongKey):
    """Neither an API key nor an access token is set."""


class NotAllowed(CloseError):
    """The key's user may not do this, or the organisation's plan doesn't include it."""


class NotFound(CloseError):
    """Close doesn't know this object or address."""


class WrongOrganization(CloseError):
    """The key belongs to another organisation than `CLOSE_ORGANIZATION_ID`."""


class WrongEnvironment(CloseError):
    """The environment names a proxy, or a file of certificates, that can't be used."""
