"""Close's own Python client works against the sandbox: only the address it sends its requests to is another."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import closeio_api  # pyright: ignore[reportMissingTypeStubs] - Close ships it without types
import httpx
import pytest
from support.close_account import ADMIN, USER, CloseAccount, lead
from support.variations import first

JUNK = {
    "type": "and",
    "queries": [
        {"type": "object_type", "object_type": "lead"},
        {
            "type": "field_condition",
            "field": {"type": "regular_field", "object_type": "lead", "field_name": "name"},
            "condition": {"type": "text", "mode": "full_words", "value": "junk"},
        },
    ],
}
SEARCHES_PER_WINDOW = 16  # a window is 8 seconds


class Client(Protocol):
    """What we use of Close's client; its answers are the JSON as it came."""

    base_url: str

    def get(self, endpoint: str, params: dict[str, object] | None = None) -> dict[str, Any]: ...
    def post(self, endpoint: str, data: dict[str, object]) -> dict[str, Any]: ...
    def put(self, endpoint: str, data: dict[str, object]) -> dict[str, Any]: ...
    def delete(self, endpoint: str) -> dict[str, Any]: ...


@pytest.fixture
def log_in(sandbox: CloseAccount) -> Iterator[Callable[[str], Client]]:
    """Close's client for a key, sent to the sandbox instead of to Close."""
    clients: list[closeio_api.Client] = []

    def client(key: str) -> Client:
        made = closeio_api.Client(key)
        made.base_url = sandbox.url
        clients.append(made)
        return cast("Client", made)

    yield client
    for each in clients:
        each.session.close()


@pytest.fixture
def client(log_in: Callable[[str], Client]) -> Client:
    return log_in(ADMIN)


def _status(refused: pytest.ExceptionInfo[Any]) -> int:
    return refused.value.response.status_code


def test_it_knows_who_it_is(client: Client):
    me = client.get("me")

    assert me["email"] == "ada@sandbox.example"
    assert me["memberships"][0]["role_id"] == "admin"
    organization = client.get(f"organization/{me['organizations'][0]['id']}", {"_fields": "id,name"})
    assert organization == me["organizations"][0]


def test_it_pages_through_leads(sandbox: CloseAccount, client: Client):
    ids = sandbox.add(*(lead(f"Lead {number}") for number in range(5)))

    pages = [client.get("lead", {"_skip": skip, "_limit": 2}) for skip in (0, 2, 4)]

    assert [page["has_more"] for page in pages] == [True, True, False]
    assert {page["total_results"] for page in pages} == {5}
    assert sorted(each["id"] for page in pages for each in page["data"]) == sorted(ids)


def test_it_creates_reads_changes_and_deletes_a_lead(client: Client):
    created = client.post(
        "lead", {"name": "New", "contacts": [{"name": "Ann", "emails": [{"email": "ann@a.example"}]}]}
    )
    path = f"lead/{created['id']}"
    assert client.get(path)["contacts"][0]["emails"][0]["email"] == "ann@a.example"

    changed = client.put(path, {"name": "Renamed"})
    assert (changed["name"], len(changed["contacts"])) == ("Renamed", 1)

    assert client.delete(path) == {}
    with pytest.raises(closeio_api.APIError) as refused:
        client.get(path)
    assert _status(refused) == 404


def test_it_lists_lead_statuses(client: Client):
    statuses = client.get("status/lead")

    assert statuses["has_more"] is False
    assert {"Potential", "Junk"} <= {each["label"] for each in statuses["data"]}


def test_it_searches_with_a_cursor_and_counts(sandbox: CloseAccount, client: Client):
    sandbox.add(*(lead(f"junk {number}") for number in range(3)), lead("Testudo"))
    search: dict[str, object] = {"query": JUNK, "_limit": 2, "_fields": {"lead": ["name"]}, "include_counts": True}

    first = client.post("data/search", search)
    second = client.post("data/search", {**search, "cursor": first["cursor"]})

    assert first["count"] == {"limited": 3, "total": 3}
    assert second["cursor"] is None
    names = {row["name"] for page in (first, second) for row in page["data"]}
    assert names == {"junk 0", "junk 1", "junk 2"}


def test_it_deletes_in_bulk_and_reads_in_the_events_what_was_deleted(sandbox: CloseAccount, client: Client):
    junk = sandbox.add(*(lead(f"junk {number}") for number in range(3)))
    kept = sandbox.add(lead("Testudo"))

    job = client.post("bulk_action/delete", {"s_query": JUNK, "send_done_email": False})
    assert (job["status"], job["n_objects"]) == ("created", None)
    give_up = time.monotonic() + 20
    while job["status"] not in ("done", "error") and time.monotonic() < give_up:
        time.sleep(0.05)
        job = client.get(f"bulk_action/delete/{job['id']}")

    assert (job["status"], job["n_objects"], job["n_objects_processed"]) == ("done", 3, 3)
    assert [each["id"] for each in client.get("bulk_action/delete")["data"]] == [job["id"]]
    assert list(sandbox.leads()) == kept
    events = _all_events(client, {"object_type": "lead", "action": "deleted", "_limit": 2})
    assert {event["object_id"] for event in events} == set(junk)
    assert {event["meta"]["bulk_action_id"] for event in events} == {job["id"]}
    assert {event["previous_data"]["display_name"] for event in events} == {"junk 0", "junk 1", "junk 2"}


def _all_events(client: Client, filters: dict[str, object]) -> list[dict[str, Any]]:
    """Every event, page after page, as Close's own scripts read them."""
    events: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get("event", {**filters, "_cursor": cursor} if cursor else filters)
        events += page["data"]
        cursor = page["cursor_next"]
    return events


@pytest.mark.parametrize(("separator", "window_seconds"), first(1, [(";", 3), (",", 8)]))
def test_it_sleeps_a_rate_limit_out(sandbox: CloseAccount, client: Client, separator: str, window_seconds: int):
    """Close's client reads the wait from `RateLimit` where commas separate its parts, from `retry-after` otherwise."""
    limits = {"enabled": True, "separator": separator, "window_seconds": window_seconds}
    httpx.post(f"{sandbox.base}/sandbox/limits", json=limits).raise_for_status()
    began = time.monotonic()

    for _ in range(SEARCHES_PER_WINDOW + 1):
        client.post("data/search", {"query": JUNK})

    assert time.monotonic() - began > window_seconds - 1
    assert [each["status"] for each in sandbox.requests()] == [200] * SEARCHES_PER_WINDOW + [429, 200]


def test_a_wrong_query_is_a_validation_error_that_names_the_field(client: Client):
    with pytest.raises(closeio_api.ValidationError) as refused:
        client.post("bulk_action/delete", {"s_query": {"type": "and", "queries": [{"type": "object_type"}]}})

    error: Any = refused.value
    assert error.field_errors == {"s_query": {"queries": {"errors": {"0": {"object_type": "This field is required."}}}}}
    assert error.errors == []


def test_a_wrong_key_is_an_error_with_status_401(log_in: Callable[[str], Client]):
    with pytest.raises(closeio_api.APIError) as refused:
        log_in("api_nobody.has").get("me")

    assert _status(refused) == 401


def test_a_user_who_may_not_delete_in_bulk_gets_an_error(sandbox: CloseAccount, log_in: Callable[[str], Client]):
    with pytest.raises(closeio_api.APIError) as refused:
        log_in(USER).post("bulk_action/delete", {"s_query": JUNK})

    assert _status(refused) == 403
    assert sandbox.get("/bulk_action/delete/")["data"] == []
