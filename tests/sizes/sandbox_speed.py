"""``python tests/sizes/sandbox_speed.py --leads 1000000``: how long the sandbox takes, and how much memory.

Prints one line per measurement. Making up a million leads takes minutes and 2 GB of disk; with ``--database FILE`` they
are kept for the next time. Needs Linux for the memory.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from deployments.sandbox.organization import STATUS_IDS
from deployments.sandbox.server import Sandbox
from deployments.sandbox.wire.json_types import Json, JsonObject

KEY = "api_sandbox.admin"
PAGE = 100
DEEP = 9_900  # near the end of a walk with cursors
REPEATS = 3
LEADS: JsonObject = {"type": "object_type", "object_type": "lead"}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="How long the sandbox takes, and how much memory.")
    parser.add_argument("--leads", type=int, default=1_000_000, help="how many leads to make up (%(default)s)")
    parser.add_argument(
        "--requests", type=int, default=10_000, help="how many requests to look for leaks (%(default)s)"
    )
    parser.add_argument("--database", type=Path, help="SQLite file to keep the leads in; used again if it is there")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        _measure(options.leads, options.requests, options.database or Path(folder) / "sandbox.sqlite3")
    return 0


def _measure(leads: int, requests: int, database: Path) -> None:
    found, began = database.exists(), time.monotonic()
    sandbox = Sandbox(leads=leads, database=database, rate_limits=False)
    _say("leads found in the file" if found else f"making up {leads:,} leads", f"{time.monotonic() - began:.0f} s")
    with sandbox, httpx.Client(base_url=sandbox.url, auth=(KEY, ""), timeout=300) as client:
        junk, stale = _junk(), _stale()
        _timed("count of a status", lambda: _count(client, _all_of(LEADS, junk)))
        _timed("count of a status, nothing kept", lambda: _count(client, _planned(junk)))
        _timed("count of what is stale, nothing kept", lambda: _count(client, _planned(stale)))
        _timed("first page of a status", lambda: len(_page(client, _all_of(LEADS, junk))))
        _timed("first page of what is stale, oldest first", lambda: len(_page(client, _planned(stale), oldest=True)))
        for name, query in (("a status", _all_of(LEADS, junk)), ("all leads, oldest first", LEADS)):
            oldest = query is LEADS
            cursor = _walk(client, query, oldest=oldest)
            _timed(f"page of {name} after {DEEP:,}", lambda: len(_page(client, query, cursor, oldest=oldest)))  # noqa: B023 - asked at once
        _memory(client, requests)


def _say(what: str, figure: str) -> None:
    print(f"{what:45} {figure}", flush=True)  # noqa: T201 - this is what it is for


def _timed(what: str, ask: Callable[[], int]) -> None:
    """Print the median of three tries after one that warms the cache, and how many leads were found."""
    seconds: list[float] = []
    found = ask()
    for _ in range(REPEATS):
        began = time.monotonic()
        found = ask()
        seconds.append(time.monotonic() - began)
    _say(what, f"{sorted(seconds)[REPEATS // 2]:.3f} s  ({found:,} leads)")


def _search(client: httpx.Client, body: JsonObject) -> JsonObject:
    return client.post("data/search/", json=body).raise_for_status().json()


def _count(client: httpx.Client, query: JsonObject) -> int:
    count = _search(client, {"query": query, "include_counts": True, "results_limit": 0})["count"]
    assert isinstance(count, dict)
    assert isinstance(count["total"], int)
    return count["total"]


def _body(query: JsonObject, oldest: bool) -> JsonObject:
    fields: JsonObject = {"lead": ["id", "display_name", "status_label", "last_communication_date"]}
    sort: list[Json] = [{"direction": "asc", "field": _field("date_created")}] if oldest else []
    return {"query": query, "_fields": fields, "_limit": PAGE, "sort": sort}


def _page(client: httpx.Client, query: JsonObject, cursor: Json = None, *, oldest: bool = False) -> list[Json]:
    data = _search(client, {**_body(query, oldest), "cursor": cursor})["data"]
    assert isinstance(data, list)
    return data


def _walk(client: httpx.Client, query: JsonObject, *, oldest: bool) -> Json:
    """The cursor of the last page a walk can reach."""
    cursor: Json = None
    for _ in range(DEEP // PAGE):
        following = _search(client, {**_body(query, oldest), "cursor": cursor})["cursor"]
        if following is None:
            break
        cursor = following
    return cursor


def _memory(client: httpx.Client, requests: int) -> None:
    """Print what the process holds before and after many requests of all kinds, once the caches are warm."""
    lead = str(client.post("lead/", json={"name": "Measured"}).raise_for_status().json()["id"])
    some: JsonObject = {"query": _all_of(LEADS, {"type": "id", "value": lead}), "_limit": 1, "include_counts": True}

    def ask(times: int) -> None:
        for number in range(times):
            if number % 5 == 0:
                client.put(f"lead/{lead}/", json={"description": str(number)}).raise_for_status()
            elif number % 5 == 1:
                client.post("data/search/", json=some).raise_for_status()
            else:
                client.get(("me/", f"lead/{lead}/", "status/lead/")[number % 3]).raise_for_status()

    ask(requests // 10)
    before, began = _private_memory(), time.monotonic()
    ask(requests)
    rate = requests / (time.monotonic() - began)
    figure = f"{before:.0f} MB before, {_private_memory():.0f} MB after ({rate:.0f} a second)"
    _say(f"memory and {requests:,} requests", figure)


def _private_memory() -> float:
    """Megabytes that this process, client and server, has for itself, without the mapped database file."""
    _, resident, shared, *_ = (int(each) for each in Path("/proc/self/statm").read_text().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / 1e6


# The queries, as a cleanup asks them.


def _all_of(*queries: JsonObject) -> JsonObject:
    return {"type": "and", "queries": [*queries]}


def _any_of(*queries: JsonObject) -> JsonObject:
    return {"type": "or", "queries": [*queries]}


def _not(query: JsonObject) -> JsonObject:
    return {**query, "negate": True}


def _field(name: str, object_type: str = "lead") -> JsonObject:
    return {"type": "regular_field", "object_type": object_type, "field_name": name}


def _where(field: JsonObject, condition: str, **arguments: Json) -> JsonObject:
    return {"type": "field_condition", "field": field, "condition": {"type": condition, **arguments}}


def _days_ago(days: int) -> JsonObject:
    moment = datetime.now(UTC).replace(minute=0, second=0) - timedelta(days=days)
    return {"type": "fixed_utc", "value": moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")}


def _has(related: str, field: str, *values: str) -> JsonObject:
    condition = _where(_field(field, related), "term", values=[*values])
    return {
        "type": "has_related",
        "this_object_type": "lead",
        "related_object_type": related,
        "related_query": condition,
    }


def _junk() -> JsonObject:
    return _where(_field("status_id"), "reference", reference_type="status.lead", object_ids=[STATUS_IDS["Junk"]])


def _stale() -> JsonObject:
    """No communication for a year; or none at all, and a year old."""
    spoken, created = _field("last_communication_date"), _field("date_created")
    return _any_of(
        _where(spoken, "moment_range", before=_days_ago(365)),
        _all_of(_not(_where(spoken, "exists")), _where(created, "moment_range", before=_days_ago(365))),
    )


def _planned(match: JsonObject) -> JsonObject:
    """What a cleanup with its default keep rules sends: each rule negated leaf by leaf, and the cut-off."""
    return _all_of(LEADS, match, *_unprotected(), *_cut_off())


def _unprotected() -> Iterator[JsonObject]:
    yield _not(_has("opportunity", "status_type", "active"))
    yield _not(_has("opportunity", "status_type", "won"))
    yield _not(_has("sequence_subscription", "status", "active", "paused"))
    meetings = _field("num_upcoming_meetings")
    yield _any_of(_not(_where(meetings, "exists")), _not(_where(meetings, "number_range", gt=0)))
    for field in (_field("date_created"), _field("last_communication_date")):
        recent = _where(field, "moment_range", on_or_after=_days_ago(30))
        yield _any_of(_not(_where(field, "exists")), _not(recent))


def _cut_off() -> Iterator[JsonObject]:
    for name in ("date_created", "date_updated"):
        yield _where(_field(name), "moment_range", before=_days_ago(0))


if __name__ == "__main__":
    sys.exit(main())
