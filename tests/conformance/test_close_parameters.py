"""The query parameters that Close documents: each is answered rightly, or refused by name. None is ignored."""

from collections.abc import Callable, Iterator
from datetime import datetime
from operator import eq, ge, gt, le, lt
from typing import Any

import pytest
from asking import Close
from documented import OPERATIONS, Operation, assert_documented, left_out_section
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.close_account import ADMIN, CloseAccount, lead

pytestmark = pytest.mark.xdist_group("parameters")

Row = dict[str, Any]
PAGING = ("_skip", "_limit")
REFUSED = {
    "/opportunity/": ["status", "status__in", "query", "lead_query", "lead_saved_search_id", "is_stalled", "_group_by"],
    "/task/": ["view", "format"],
    "/event/": ["_skip"],
}
LISTS = [
    operation
    for operation in map(Operation.read, OPERATIONS)
    if operation.method == "GET" and OPERATIONS[str(operation)] and "bulk_action/edit" not in operation.path
]
FILTERS = [
    (operation, name)
    for operation in LISTS
    for name in OPERATIONS[str(operation)]
    if name not in (*PAGING, "_order_by", "_expand", *REFUSED.get(operation.path, ()))
]
# Close lets events be filtered by some combinations only.
BESIDE = {
    "action": {"object_type": "contact"},
    "object_type": {"action": "created"},
    "object_id": {"action": "created"},
}
EVERY = {"/task/": {"_type": "all"}, "/saved_search/": {"type__in": "lead,contact"}}  # not only those of leads
MANY = ("lead_id", "contact_id", "user_id", "_type")  # of activities: several values, separated by commas
COMPARISONS = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


@pytest.fixture(scope="module")
def close(running_sandbox: CloseAccount) -> Iterator[Close]:
    """Two leads with three of everything, each of the three different in all that can be asked for."""
    running_sandbox.reset()
    acme, bolt = running_sandbox.add(lead("Acme"), lead("Bolt"))
    days = ("2026-01-30", "2026-01-31", "2026-02-01")
    owners = [user["id"] for user in running_sandbox.get("/user/")["data"]]
    statuses = [status["id"] for status in running_sandbox.get("/status/opportunity/")["data"]]
    for number, day in enumerate(days):
        running_sandbox.add(
            lead(
                f"Lead {number}",
                contacts=[{"name": "Ann"}],
                opportunities=[
                    {"status_id": statuses[number + 1], "date_won": day, "user_id": owners[number], "date_created": day}
                    | {"value": number, "value_period": ("one_time", "monthly", "annual")[number], "date_updated": day}
                ],
                tasks=[
                    {"date": day, "is_complete": number == 1, "assigned_to": owners[number], "date_created": day}
                    | {"_type": "outgoing_call" if number == 2 else "lead", "date_updated": day}
                ],
            )
        )
        contact = running_sandbox.post("/contact/", lead_id=acme if number else bolt, name="Bob")
        running_sandbox.post("/task/", lead_id=contact["lead_id"], date=day, is_complete=True)
        for kind in ("note", "call"):
            dates = {"activity_at": f"{day}T12:00:00+00:00", "date_created": f"{day}T08:00:00+00:00"}
            running_sandbox.post(
                f"/activity/{kind}/",
                lead_id=contact["lead_id"],
                contact_id=contact["id"],
                user_id=owners[number],
                **dates,
            )
    changed = running_sandbox.post("/contact/", lead_id=acme, name="Bob")["id"]
    running_sandbox.put(f"/contact/{changed}/", name="Bea")
    with Close(running_sandbox, ADMIN) as asking:
        yield asking


@pytest.mark.parametrize(("operation", "name"), FILTERS, ids=str)
def test_a_documented_filter_selects_the_rows_that_show_what_it_asks(close: Close, operation: Operation, name: str):
    """Each value that some row shows is asked for; a second reading of the rows, here, says which are right."""
    field, _, comparison = name.partition("__")
    every = EVERY.get(operation.path, {})
    beside = BESIDE.get(name, {}) if operation.path == "/event/" else {}
    rows = [row for row in _rows(close, operation, every) if all(row[key] == value for key, value in beside.items())]
    shown = sorted({str(row[field]) for row in rows if row[field] is not None})
    assert shown or name == "contact_id"  # no completed task has one
    others = {key: value for key, value in every.items() if key.partition("__")[0] != field}

    many = comparison == "in" or (operation.path.startswith("/activity/") and name in MANY)
    for value in [*shown, *([",".join(shown[:2])] if many and shown else [])]:
        found = _rows(close, operation, {**others, **beside, name: value})
        wanted = [row for row in rows if _meets(row[field], comparison, value, many=many)]
        assert sorted(row["id"] for row in found) == sorted(row["id"] for row in wanted), value


def _rows(close: Close, operation: Operation, params: dict[str, str]) -> list[Row]:
    answer = close.ask(operation, params=params)
    assert_documented(operation, answer)
    return answer.json()["data"]


def _meets(shown: Any, comparison: str, value: str, *, many: bool) -> bool:
    if many:
        return str(shown) in value.split(",")
    if shown is None:
        return False
    compare: Callable[[Any, Any], bool] = COMPARISONS.get(comparison, eq)
    return compare(_read(shown), _read(value))


def _read(value: object) -> Any:
    """A moment as such, since it can be spelt in many ways; anything else as text."""
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        return str(value)


@pytest.mark.parametrize("operation", LISTS, ids=str)
def test_a_parameter_that_the_sandbox_does_not_know_is_refused_by_name(close: Close, operation: Operation):
    """Ignored, it would let a client take every row for those that it asked for."""
    for name in ("colour", *REFUSED.get(operation.path, ())):
        answer = close.ask(operation, params={name: "1"})

        assert_documented(operation, answer, 400)
        assert list(answer.json()["field-errors"]) == [name]


@pytest.mark.parametrize("operation", LISTS, ids=str)
def test_no_documented_parameter_is_ignored(close: Close, operation: Operation):
    """A value that can't be right is refused, or finds nothing."""
    for name in OPERATIONS[str(operation)]:
        answer = close.ask(
            operation, params={**(BESIDE.get(name, {}) if "event" in operation.path else {}), name: "-?"}
        )

        assert answer.status_code == 400 or answer.json()["data"] == [], name


WORDS = st.text(max_size=30) | st.datetimes().map(str) | st.dates().map(str) | st.integers().map(str)
PARAMETERS = [*sorted({name for names in OPERATIONS.values() for name in names}), "_fields", "_cursor"]


@given(st.sampled_from(LISTS), st.dictionaries(st.sampled_from(PARAMETERS), WORDS, min_size=1, max_size=3))
@example(Operation("GET", "/event/"), {"date_updated__gte": "9999-12-31T23:59:59-23:59"})
@example(Operation("GET", "/opportunity/"), {"date_won__lte": "0001-01-01T00:00:00+14:00"})
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_asked_of_a_list_it_is_answered_or_refused_by_name(
    close: Close, operation: Operation, params: dict[str, str]
):
    answer = close.ask(operation, params=params)

    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        assert_documented(operation, answer, 400)


@pytest.mark.parametrize(("path", "names"), REFUSED.items())
def test_the_readme_names_the_documented_parameters_that_are_refused(path: str, names: list[str]):
    section = left_out_section()

    assert f"`{path}`" in section
    assert [name for name in names if f"`{name}`" not in section] == []


@pytest.mark.parametrize(("path", "name"), [("/task/", "is_complete"), ("/user/", "_limit"), ("/lead/", "_fields")])
def test_an_empty_or_repeated_parameter_is_refused_by_name(close: Close, path: str, name: str):
    for query in (f"{name}=", f"{name}=1&{name}=2"):
        answer = close.http.get(f"{path.removeprefix('/')}?{query}")

        assert (answer.status_code, list(answer.json()["field-errors"])) == (400, [name])


@pytest.mark.parametrize(
    ("path", "key"),
    [
        *(("/opportunity/", name) for name in ("date_won", "date_updated", "date_created", "confidence", "value")),
        *(("/task/", name) for name in ("date", "date_created")),
    ],
)
def test_lists_are_sorted_as_asked(close: Close, path: str, key: str):
    def listed(order_by: str) -> list[Any]:
        found = close.http.get(path.removeprefix("/"), params={"_order_by": order_by, "_fields": key}).json()["data"]
        return [row[key] for row in found]

    assert listed(key) == sorted(listed(key))
    assert listed(f"-{key}") == sorted(listed(key), reverse=True)
    refused = close.http.get(path.removeprefix("/"), params={"_order_by": "user_name"})
    assert (refused.status_code, list(refused.json()["field-errors"])) == (400, ["_order_by"])


def test_users_are_paged_and_sorted(close: Close):
    def names(**params: object) -> list[str]:
        return [f"{user['first_name']} {user['last_name']}" for user in close.account.get("/user/", **params)["data"]]

    assert names(_order_by="last_name,first_name") == ["Ada Admin", "Max Manager", "Mia Manager", "Uma User"]
    assert names(_order_by="first_name,last_name") == ["Ada Admin", "Max Manager", "Mia Manager", "Uma User"]
    assert [names(_skip=skip, _limit=3) for skip in (0, 3)] == [names()[:3], names()[3:]]
    assert close.account.get("/user/", _limit=3)["has_more"]
    assert not close.account.get("/user/", _skip=3, _limit=3)["has_more"]


@pytest.mark.parametrize(
    ("path", "largest"),
    [
        *(("/lead/", 200), ("/opportunity/", 250), ("/saved_search/", 600), ("/task/", 1000)),
        *(("/custom_field/lead/", 1000), ("/contact/", 100)),
    ],
)
def test_the_pages_that_connectors_in_production_ask_for_are_taken(close: Close, path: str, largest: int):
    path = path.removeprefix("/")

    assert close.http.get(path, params={"_limit": largest}).status_code == 200
    assert close.http.get(path, params={"_limit": largest + 1}).status_code == 400


def test_an_empty_cursor_is_the_first_page_of_events_and_a_page_is_capped(close: Close):
    """All of Close's own scripts begin with it."""
    for number in range(55):
        close.account.post("/lead/", name=f"Lead {number}")

    first = close.account.get("/event/", _cursor="", _limit=1000)

    assert first == close.account.get("/event/")
    assert (len(first["data"]), first["cursor_previous"]) == (50, None)


def test_the_deprecated_text_search_knows_a_word_and_an_id(close: Close):
    """More would need a parser, and what it got wrong would be silent."""
    bolt = next(row for row in close.account.leads().values() if row["name"] == "Bolt")

    for query in ("Bolt", "bolt", bolt["id"], f"id:{bolt['id']}", f"lead_id:{bolt['id']}"):
        found = close.account.get("/lead/", query=query)
        assert ([row["id"] for row in found["data"]], found["total_results"]) == ([bolt["id"]], 1)
    for query in (
        *("has:calls", "sms_messages > 0", 'date_updated >= "2024-01-01"', 'in:"Stale"', "sort:created", "slice:1/3"),
        *("*", "not", "Bolt OR Acme", '"Bolt"', "Bol*", bolt["id"][:9] + "*", "lead_status:Potential"),
    ):
        refused = close.http.get("lead/", params={"query": query})
        assert (refused.status_code, list(refused.json()["field-errors"])) == (400, ["query"])
