"""Short words for what tests of the sandbox say to it."""

import time
from typing import Any, cast

import httpx

from deployments.sandbox.server import Sandbox

Query = dict[str, Any]
LEAD: Query = {"type": "object_type", "object_type": "lead"}


class Close:
    """The sandbox seen from outside: over HTTP only."""

    def __init__(self, server: Sandbox) -> None:
        self.base = server.base
        self.http = httpx.Client(base_url=server.url, auth=("api_sandbox.admin", ""), timeout=30)
        self.as_user = httpx.Client(base_url=server.url, auth=("api_sandbox.user", ""), timeout=30)
        self.as_other = httpx.Client(base_url=server.url, auth=("api_sandbox.other", ""), timeout=30)

    def close(self) -> None:
        for client in (self.http, self.as_user, self.as_other):
            client.close()

    def control(self, method: str, what: str, body: Any = None) -> Any:
        answer = self.http.request(method, f"{self.base}/sandbox/{what}", json=body)
        answer.raise_for_status()
        return answer.json()

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        answer = self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any, **headers: str) -> dict[str, Any]:
        answer = self.http.post(path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def load(self, *leads: dict[str, Any]) -> list[str]:
        """Put leads there, as given; returns their ids."""
        return cast("list[str]", self.control("POST", "leads", list(leads)))

    def search(self, *nodes: Query, **more: Any) -> dict[str, Any]:
        return self.post("data/search/", {"query": {"type": "and", "queries": [LEAD, *nodes]}, **more})

    def names(self, *nodes: Query, **more: Any) -> list[str]:
        """The names of the leads that the nodes find."""
        found = self.search(*nodes, _fields={"lead": ["name"]}, **more)
        return [row["name"] for row in found["data"]]

    def refused(self, *nodes: Query, **more: Any) -> dict[str, Any]:
        """The field-errors under `query` that the nodes are refused with."""
        answer = self.http.post("data/search/", json={"query": {"type": "and", "queries": [LEAD, *nodes]}, **more})
        assert answer.status_code == 400, answer.text
        assert answer.json()["errors"] == []
        return answer.json()["field-errors"]

    def start(self, *nodes: Query, **more: Any) -> dict[str, Any]:
        """Start a bulk delete."""
        return self.post("bulk_action/delete/", {"s_query": {"type": "and", "queries": [LEAD, *nodes]}, **more})

    def job(self, job: dict[str, Any]) -> dict[str, Any]:
        return self.get(f"bulk_action/delete/{job['id']}/")

    def until(self, job: dict[str, Any], *statuses: str | None) -> dict[str, Any]:
        """The bulk delete as soon as it has one of the statuses."""
        deadline = time.monotonic() + 10
        while (now := self.job(job))["status"] not in statuses:
            assert time.monotonic() < deadline, now
            time.sleep(0.02)
        return now

    def deleted(self) -> list[dict[str, Any]]:
        """The events of deleted leads."""
        return self.get("event/", object_type="lead", action="deleted")["data"]


def field(name: str, object_type: str = "lead") -> Query:
    return {"type": "regular_field", "object_type": object_type, "field_name": name}


def custom(field_id: str) -> Query:
    return {"type": "custom_field", "custom_field_id": field_id}


def where(what: str | Query, condition: str, *, negate: bool = False, **values: Any) -> Query:
    """A condition on a field of the lead."""
    return {
        "type": "field_condition",
        "negate": negate,
        "field": field(what) if isinstance(what, str) else what,
        "condition": {"type": condition, **values},
    }


def either(*nodes: Query, negate: bool = False) -> Query:
    return {"type": "or", "queries": list(nodes), "negate": negate}


def both(*nodes: Query, negate: bool = False) -> Query:
    return {"type": "and", "queries": list(nodes), "negate": negate}


def related(to: str, query: Query, this: str = "lead", *, negate: bool = False) -> Query:
    return {
        "type": "has_related",
        "negate": negate,
        "this_object_type": this,
        "related_object_type": to,
        "related_query": query,
    }


def utc(moment: str) -> Query:
    return {"type": "fixed_utc", "value": moment}


ANY: Query = {"type": "match_all"}
