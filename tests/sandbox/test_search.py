"""Searching: pages, cursors, counts, order, fields."""

import time
from typing import Any

import pytest
from words_for_close import ANY, Close, field, where


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"name": f"lead {n:03}", "date_created": f"2024-01-01T00:{n // 60:02}:{n % 60:02}Z"} for n in range(count)]


def by(name: str, direction: str = "asc") -> list[dict[str, Any]]:
    return [{"direction": direction, "field": field(name)}]


def test_a_cursor_leads_through_all_pages(close: Close) -> None:
    ids = close.load(*numbered(7))
    found: list[str] = []
    cursor = None

    for size in (3, 3, 1):
        page = close.search(sort=by("date_created"), _limit=3, **({"cursor": cursor} if cursor else {}))
        assert len(page["data"]) == size
        found += [row["id"] for row in page["data"]]
        cursor = page["cursor"]

    assert cursor is None
    assert found == ids


def test_a_cursor_is_bound_to_its_query_and_expires(close: Close) -> None:
    close.control("POST", "behaviour", {"cursor_seconds": 0.2})
    close.load(*numbered(3))
    cursor = close.search(_limit=1)["cursor"]

    assert list(close.refused(ANY, cursor=cursor)) == ["cursor"]
    assert list(close.refused(cursor=cursor, _fields={"lead": ["name"]})) == ["cursor"]
    assert list(close.refused(cursor="nonsense")) == ["cursor"]
    assert len(close.search(cursor=cursor)["data"]) == 2
    time.sleep(0.3)
    assert "expired" in close.refused(cursor=cursor)["cursor"]


def test_counts_come_on_request_only(close: Close) -> None:
    close.load(*numbered(5))

    assert "count" not in close.search()
    assert close.search(include_counts=True)["count"] == {"limited": 5, "total": 5}
    nothing = close.search(include_counts=True, results_limit=0)
    assert nothing == {"data": [], "cursor": None, "count": {"limited": 0, "total": 5}}
    assert close.search(include_counts=True, results_limit=2, _limit=1)["count"] == {"limited": 2, "total": 5}


def test_results_limit_ends_the_walk(close: Close) -> None:
    close.load(*numbered(5))

    first = close.search(results_limit=3, _limit=2)
    second = close.search(results_limit=3, _limit=2, cursor=first["cursor"])

    assert (len(first["data"]), len(second["data"]), second["cursor"]) == (2, 1, None)


def test_order_by_several_fields_with_empty_values_last(close: Close) -> None:
    close.load(
        {"name": "b", "last_communication_date": "2024-01-01"},
        {"name": "never"},
        {"name": "a", "last_communication_date": "2024-01-01"},
        {"name": "c", "last_communication_date": "2025-01-01"},
    )

    assert close.names(sort=[*by("last_communication_date"), *by("name")]) == ["a", "b", "c", "never"]
    assert close.names(sort=[*by("last_communication_date", "desc"), *by("name")]) == ["c", "a", "b", "never"]


@pytest.mark.parametrize("name", ["id", "status_id", "nope"])
def test_ids_and_references_are_no_order(close: Close, name: str) -> None:
    assert list(close.refused(sort=by(name))) == ["sort"]


def test_rows_have_the_fields_asked_for(close: Close) -> None:
    source = next(each["id"] for each in close.get("custom_field/lead/")["data"] if each["name"] == "source")
    lead = close.load({"name": "X", f"custom.{source}": "Legacy CRM", "activities": [{"_type": "SMS"}]})[0]

    def row(*fields: str) -> dict[str, Any]:
        return close.search(_fields={"lead": list(fields)})["data"][0]

    assert close.search()["data"] == [{"__object_type": "lead", "id": lead}]
    assert row("name", "num_sms", "nope") == {"__object_type": "lead", "id": lead, "name": "X", "num_sms": 1}
    assert row("custom")["custom"] == {"source": "Legacy CRM"}
    assert row("custom")[f"custom.{source}"] == row(f"custom.{source}")[f"custom.{source}"] == "Legacy CRM"
    assert "List is too long." in str(close.refused(_fields={"lead": ["name"] * 111}))


def test_pages_have_a_largest_size(close: Close) -> None:
    assert "200" in close.refused(_limit=201)["_limit"]


def test_a_search_needs_a_query(close: Close) -> None:
    bodies: list[dict[str, Any]] = [{}, {"query": None}, {"query": {}}]
    for body in bodies:
        answer = close.http.post("data/search/", json=body)
        assert answer.json() == {"field-errors": {"query": "This field is required."}, "errors": []}


def test_without_an_object_type_leads_are_meant(close: Close) -> None:
    """Close's own Smart View "All Leads" is like that."""
    close.load(*numbered(2))

    assert close.post("data/search/", {"query": ANY, "include_counts": True})["count"]["total"] == 2


def test_who_asks_decides_who_the_current_user_is(close: Close) -> None:
    manager = next(each["id"] for each in close.get("custom_field/lead/")["data"] if each["name"] == "account manager")
    close.load({"name": "mine", f"custom.{manager}": close.as_user.get("me/").json()["id"]})
    mine = where({"type": "custom_field", "custom_field_id": manager}, "current_user")

    assert close.names(mine) == []
    assert len(close.as_user.post("data/search/", json={"query": mine}).json()["data"]) == 1


def test_every_seeded_smart_view_can_be_searched(close: Close) -> None:
    close.control("POST", "reset", {"leads": 200})

    for view in close.get("saved_search/", type__in="lead,contact")["data"]:
        if view["s_query"]:
            found = close.post("data/search/", {"query": view["s_query"]["query"], "include_counts": True})
            assert found["count"]["total"] > 0, view["name"]
