"""The sandbox asked as Close's document writes its operations, with bodies that are good and bodies that are wrong."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Self

import httpx
from documented import Operation
from support.close_account import CloseAccount, lead

Body = dict[str, Any]
LEADS: Body = {"type": "object_type", "object_type": "lead"}


class Close:
    """The sandbox for one key, asked as the document writes its operations."""

    def __init__(self, account: CloseAccount, key: str) -> None:
        self.account = account
        self.http = httpx.Client(base_url=account.url, auth=(key, ""), timeout=30)

    def __enter__(self) -> Self:
        """The connections close with the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.http.close()

    def ask(self, operation: Operation, *, id: str | None = None, **request: Any) -> httpx.Response:
        """Send the request; an id in the path is that of an object of this kind that exists, unless one is given."""
        path = operation.path.replace("{object_type}", "lead")
        if "{id}" in path:
            path = path.replace("{id}", id or self.any_id(path))
        return self.http.request(operation.method, path.removeprefix("/"), **request)

    def any_id(self, path: str) -> str:
        """The id of an object that is there."""
        if path.startswith("/organization/"):
            return str(self.account.get("/me/")["organizations"][0]["id"])
        return str(self.account.get(path.partition("{")[0])["data"][0]["id"])

    @contextmanager
    def limited(self, **limits: float) -> Generator[None]:
        """With these rate limits, until the end of the block."""
        self._limit(enabled=True, **limits)
        try:
            yield
        finally:
            self._limit(enabled=False, decimals=False, scale=1, window_seconds=8)

    def _limit(self, **limits: float) -> None:
        httpx.post(f"{self.account.base}/sandbox/limits", json=limits).raise_for_status()


GOOD: dict[str, Callable[[Close], Body]] = {
    "POST /custom_field/lead/": lambda _: {"name": "Tier", "type": "choices", "choices": ["A", "B"]},
    "POST /saved_search/": lambda _: {"name": "All", "s_query": {"query": LEADS}},
    "PUT /saved_search/{id}/": lambda _: {"name": "Renamed", "description": "With a new name"},
    "POST /data/search/": lambda _: {"query": LEADS, "_limit": 3, "include_counts": True},
    "POST /lead/": lambda _: {
        "name": "New",
        "url": "https://new.example",
        "addresses": [{"city": "Berlin", "country": "DE"}],
        "contacts": [
            {
                "name": "Ann",
                "emails": [{"email": "ann@new.example"}],
                "phones": [{"phone": "+14155550100", "type": "mobile"}],
                "urls": [{"url": "https://ann.example", "type": "url"}],
            }
        ],
    },
    "PUT /lead/{id}/": lambda _: {"description": "Changed"},
    "POST /lead/merge/": lambda close: dict(
        zip(("source", "destination"), close.account.add(lead("One"), lead("Same")), strict=True)
    ),
    "POST /contact/": lambda close: {"lead_id": close.any_id("/lead/{id}/"), "name": "Bob"},
    "POST /opportunity/": lambda close: {"lead_id": close.any_id("/lead/{id}/"), "value": 5000},
    "POST /task/": lambda close: {"lead_id": close.any_id("/lead/{id}/"), "_type": "lead", "text": "Call"},
    "POST /activity/note/": lambda close: {"lead_id": close.any_id("/lead/{id}/"), "note": "Called"},
    "POST /activity/call/": lambda close: {"lead_id": close.any_id("/lead/{id}/"), "duration": 60},
    "POST /bulk_action/delete/": lambda _: {"s_query": LEADS, "results_limit": 0},  # other tests go on meanwhile
    "POST /export/lead/": lambda _: {"s_query": LEADS, "format": "json"},
}
WRONG: dict[str, Body] = {
    "POST /custom_field/lead/": {"name": "Tier", "type": "colour"},
    "POST /saved_search/": {"name": "All", "s_query": {"query": {"type": "nonsense"}}},
    "PUT /saved_search/{id}/": {"s_query": {}},
    "POST /data/search/": {"query": {"type": "and", "queries": [LEADS, {"type": "text"}]}},
    "POST /lead/": {"status_id": "stat_ofnobody"},
    "PUT /lead/{id}/": {"name": 5},
    "POST /lead/merge/": {"source": "lead_ofnobody"},
    "POST /contact/": {"name": "Bob", "emails": [{"email": 5}]},
    "POST /opportunity/": {"value": "much"},
    "POST /task/": {"text": "without a lead"},
    "POST /activity/note/": {"note": "without a lead"},
    "POST /activity/call/": {"lead_id": "lead_ofnobody"},
    "POST /bulk_action/delete/": {"s_query": None},
    "POST /export/lead/": {"format": "pdf"},
}
