"""Queries made from queries: put in place, frozen, turned round, compared."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tasks.close.query.conditions import FixedUtc
from tasks.close.query.freeze import freeze
from tasks.close.query.nodes import Query, parse, parts, to_json
from tasks.close.query.rewrite import (
    UnusableQuery,
    always,
    asserted,
    canonical,
    conditions_only,
    denied,
    inline,
    negated,
)

Json = dict[str, Any]
LEADS: Json = {"type": "object_type", "object_type": "lead"}
ALL: Json = {"type": "match_all"}
A: Json = {"type": "id", "value": "lead_a"}
B: Json = {"type": "id", "value": "lead_b"}
UTC_ZONE = ZoneInfo("UTC")


def both(*queries: Json, **node: Any) -> Json:
    return {"type": "and", "queries": list(queries), **node}


def either(*queries: Json, **node: Any) -> Json:
    return {"type": "or", "queries": list(queries), **node}


def no(query: Json) -> Json:
    return {**query, "negate": True}


def view(name: str) -> Json:
    return {"type": "saved_search", "saved_search_id": name}


def on(name: str, condition: Json) -> Json:
    field = {"type": "regular_field", "object_type": "lead", "field_name": name}
    return {"type": "field_condition", "field": field, "condition": condition}


# --- always -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "verdict"),
    [
        (ALL, True),
        (no(ALL), False),
        (LEADS, True),
        (no(LEADS), False),
        ({"type": "object_type", "object_type": "contact"}, False),
        (A, None),
        (no(A), None),
        (both(LEADS, ALL), True),
        (both(LEADS, A), None),
        (both(A, no(ALL)), False),
        (either(A, ALL), True),
        (either(A, no(ALL)), None),
        (either(no(ALL), no(LEADS)), False),
        (no(either(A, ALL)), False),
        (no(both(A, no(ALL))), True),
        (no(both(LEADS, A)), None),
        (both(either(both(ALL), A), LEADS), True),
    ],
)
def test_always_tells_what_doesnt_depend_on_the_lead(query: Json, verdict: bool | None):
    assert always(parse(query)) is verdict


@pytest.mark.parametrize(
    ("query", "rest"),
    [
        (both(LEADS, A), A),
        (both(LEADS, both(LEADS, A, B), ALL), both(A, B)),
        (both(LEADS, either(both(LEADS, A), both(LEADS, B))), either(A, B)),
        (either(A, no(ALL)), A),
        (no(both(LEADS, A)), no(both(A))),
        (both(LEADS, ALL), None),
        (no(ALL), no(ALL)),
        (A, A),
    ],
)
def test_clauses_that_say_nothing_about_a_lead_are_left_out(query: Json, rest: Json | None):
    """A keep rule is turned round clause by clause, and "not a lead" must not become one of them."""
    found = conditions_only(parse(query))

    assert (found and to_json(found)) == rest


# --- inline -----------------------------------------------------------------------------------------------------------


def test_nested_views_are_put_in_place_of_their_names():
    stored = {"save_1": both(LEADS, either(A, view("save_2"))), "save_2": both(LEADS, B)}

    found = inline(parse(both(LEADS, view("save_1"))), lambda name: parse(stored[name]))

    assert to_json(found) == both(LEADS, both(LEADS, either(A, both(LEADS, B))))


def test_a_view_may_stand_in_two_places_and_among_related_objects():
    related = {"type": "has_related", "this_object_type": "lead", "related_object_type": "contact"}
    query = both(view("save_1"), view("save_1"), {**related, "related_query": view("save_1")})

    found = inline(parse(query), lambda _: parse(A))

    assert to_json(found) == both(A, A, {**related, "related_query": A})


def test_a_negated_view_is_inlined_negated():
    assert to_json(inline(parse(no(view("save_1"))), lambda _: parse(A))) == no(A)
    assert to_json(inline(parse(no(view("save_1"))), lambda _: parse(no(A)))) == {**A, "negate": False}


@pytest.mark.parametrize("start", ["save_1", "save_2", "save_3"])
def test_views_that_nest_each_other_in_a_circle_are_refused(start: str):
    stored = {"save_1": view("save_2"), "save_2": no(view("save_3")), "save_3": both(A, view("save_2"))}

    with pytest.raises(UnusableQuery, match="contains itself"):
        inline(parse(view(start)), lambda name: parse(stored[name]))


# --- freeze -----------------------------------------------------------------------------------------------------------

NOW: Json = {"type": "now"}
AS_OF = datetime(2026, 3, 31, 10, 20, 30, 456000, tzinfo=UTC)


def offset(which: str | None = None, direction: str = "past", moment: Json = NOW, **units: int) -> Json:
    return {
        "type": "offset",
        "direction": direction,
        "moment": moment,
        "offset": {"years": 0, "months": 0, "weeks": 0, "days": 0, "hours": 0, "minutes": 0, "seconds": 0, **units},
        "which_day_end": which,
    }


def day(value: str, which: str = "start") -> Json:
    return {"type": "fixed_local_date", "value": value, "which": which}


def frozen(moment: Json, as_of: datetime | str = AS_OF, zone: str = "UTC") -> str:
    """The instant that *moment* becomes."""
    as_of = datetime.fromisoformat(as_of) if isinstance(as_of, str) else as_of
    query = freeze(parse(on("date_created", {"type": "moment_range", "before": moment})), as_of, ZoneInfo(zone), {})
    (found,) = [part for part in parts(query) if isinstance(part, FixedUtc)]
    return found.value


@pytest.mark.parametrize(
    ("moment", "instant"),
    [
        (NOW, "2026-03-31T10:20:30.456Z"),
        (offset(), "2026-03-31T10:20:30.456Z"),
        (offset(days=1), "2026-03-30T10:20:30.456Z"),
        (offset(months=1), "2026-02-28T10:20:30.456Z"),
        (offset(months=13), "2025-02-28T10:20:30.456Z"),
        (offset(months=25), "2024-02-29T10:20:30.456Z"),
        (offset(years=2, months=1), "2024-02-29T10:20:30.456Z"),
        (offset(months=1, days=1), "2026-02-27T10:20:30.456Z"),
        (offset(weeks=2), "2026-03-17T10:20:30.456Z"),
        (offset(direction="future", months=1), "2026-04-30T10:20:30.456Z"),
        (offset("start", days=1), "2026-03-30T00:00:00.000Z"),
        (offset("end", days=1), "2026-03-31T00:00:00.000Z"),
        (offset("end", months=1), "2026-03-01T00:00:00.000Z"),
        (offset("start", minutes=90), "2026-03-31T08:50:30.456Z"),
        (offset("end", days=1, seconds=1), "2026-03-30T10:20:29.456Z"),
        (offset("start", hours=11), "2026-03-30T23:20:30.456Z"),
        (offset(moment=offset(months=1), days=28), "2026-01-31T10:20:30.456Z"),
        (offset("start", moment=day("2024-02-29"), years=1), "2023-02-28T00:00:00.000Z"),
        (offset(moment={"type": "fixed_utc", "value": "2025-01-01T00:00:00"}, hours=1), "2024-12-31T23:00:00.000Z"),
        (offset(moment={"type": "fixed_utc", "value": "2025-01-01T02:00:00+02:00"}), "2025-01-01T00:00:00.000Z"),
        (day("2024-02-29"), "2024-02-29T00:00:00.000Z"),
        (day("2024-02-29", "end"), "2024-03-01T00:00:00.000Z"),
        (day("2025-12-31", "end"), "2026-01-01T00:00:00.000Z"),
    ],
)
def test_relative_moments_become_the_instants_they_mean(moment: Json, instant: str):
    assert frozen(moment) == instant


@pytest.mark.parametrize(
    ("days", "old_enough"),
    [(29, False), (30, True), (31, True)],
)
def test_a_lead_is_old_enough_after_exactly_so_many_days(days: int, old_enough: bool):
    """A tool whose delay of days silently became another one deleted what was too young: so N-1, N and N+1 are held."""
    bound = frozen(offset(days=30))

    created = AS_OF - timedelta(days=days, milliseconds=1)
    assert (FixedUtc.at(created).value < bound) is old_enough


@pytest.mark.parametrize(
    ("moment", "as_of", "instant"),
    [
        # Berlin's clocks went forward on 29 March 2026 at 01:00 UTC, and back on 25 October at 01:00 UTC.
        (offset("start", days=1), "2026-03-30T12:00:00Z", "2026-03-28T23:00:00.000Z"),
        (offset("end", days=1), "2026-03-30T12:00:00Z", "2026-03-29T22:00:00.000Z"),
        (offset("start", days=1), "2026-03-29T23:30:00Z", "2026-03-28T23:00:00.000Z"),
        (offset(days=1), "2026-03-29T12:00:00Z", "2026-03-28T13:00:00.000Z"),
        (offset(hours=24), "2026-03-29T12:00:00Z", "2026-03-28T12:00:00.000Z"),
        (offset("start", hours=24), "2026-03-29T12:00:00Z", "2026-03-28T12:00:00.000Z"),
        (offset("start", days=1), "2026-10-26T12:00:00Z", "2026-10-24T22:00:00.000Z"),
        (offset("end", days=1), "2026-10-26T12:00:00Z", "2026-10-25T23:00:00.000Z"),
        (day("2026-03-29"), "2026-01-01T00:00:00Z", "2026-03-28T23:00:00.000Z"),
        (day("2026-03-29", "end"), "2026-01-01T00:00:00Z", "2026-03-29T22:00:00.000Z"),
        (day("2026-10-25", "end"), "2026-01-01T00:00:00Z", "2026-10-25T23:00:00.000Z"),
        # 23:30 UTC is already the next day, and the next month, in Berlin.
        (offset("start"), "2026-06-30T23:30:00Z", "2026-06-30T22:00:00.000Z"),
        (offset("start", months=1), "2026-05-31T23:30:00Z", "2026-04-30T22:00:00.000Z"),
    ],
)
def test_days_begin_where_the_reader_lives_also_when_clocks_change(moment: Json, as_of: str, instant: str):
    assert frozen(moment, as_of, "Europe/Berlin") == instant


def test_a_midnight_that_the_clocks_skip_is_the_instant_of_the_change():
    """Cairo's clocks went from 00:00 to 01:00 on 24 April 2026: that day began at 22:00 UTC."""
    assert frozen(day("2026-04-24"), zone="Africa/Cairo") == "2026-04-23T22:00:00.000Z"


def test_nothing_else_changes_and_nothing_relative_is_left():
    query = either(
        both(A, on("name", {"type": "text", "mode": "phrase", "value": "now"}), uid=5),
        on("date_created", {"type": "moment_range", "before": NOW, "on_or_after": None}),
        {"type": "in_status", "status_ids": ["stat_1"], "before": offset("start", days=3)},
        on("date_updated", {"type": "moment_range", "before": {"type": "fixed_utc", "value": "2025-01-01T00:00:00"}}),
    )

    once = freeze(parse(query), AS_OF, UTC_ZONE, {})

    assert to_json(once)["queries"][0] == query["queries"][0]
    assert to_json(once)["queries"][3] == query["queries"][3]
    assert not {type(part).__name__ for part in parts(once)} & {"Now", "Offset", "FixedLocalDate"}
    assert freeze(once, AS_OF + timedelta(days=99), ZoneInfo("Asia/Tokyo"), {}) == once


def test_other_relative_moments_are_refused():
    with pytest.raises(UnusableQuery, match="start_of_week"):
        frozen(offset(moment={"type": "start_of_week"}, days=1))


# --- turned round -----------------------------------------------------------------------------------------------------

RELATED: Json = {
    "type": "has_related",
    "this_object_type": "lead",
    "related_object_type": "contact",
    "related_query": no(on("title", {"type": "term", "values": ["CEO"]})),
}
EMPTY: Json = no(on("name", {"type": "exists"}))
NAMED: Json = on("name", {"type": "term", "values": ["Ann"]})

DIVIDED: dict[str, tuple[Json, Json, Json]] = {
    # what is divided: those that meet it, those that don't
    "an id": (A, A, no(A)),
    "not an id": (no(A), no(A), A),
    "words": ({"type": "text", "value": "x"}, {"type": "text", "value": "x"}, no({"type": "text", "value": "x"})),
    "a condition": (NAMED, NAMED, either(EMPTY, no(NAMED))),
    "a negated condition": (no(NAMED), either(EMPTY, no(NAMED)), NAMED),
    "is empty": (EMPTY, EMPTY, on("name", {"type": "exists"})),
    "isn't empty": (on("name", {"type": "exists"}), on("name", {"type": "exists"}), EMPTY),
    "something related": (RELATED, RELATED, no(RELATED)),
    "a former status": (
        {"type": "in_status", "status_ids": ["s"]},
        {"type": "in_status", "status_ids": ["s"]},
        no({"type": "in_status", "status_ids": ["s"]}),
    ),
    "all of two": (both(A, NAMED), both(A, NAMED), either(no(A), either(EMPTY, no(NAMED)))),
    "one of two": (either(A, NAMED), either(A, NAMED), both(no(A), either(EMPTY, no(NAMED)))),
    "not all of two": (no(both(A, NAMED)), either(no(A), either(EMPTY, no(NAMED))), both(A, NAMED)),
    "none of two": (no(either(A, no(NAMED))), both(no(A), NAMED), either(A, either(EMPTY, no(NAMED)))),
}


@pytest.mark.parametrize(("query", "inside", "outside"), DIVIDED.values(), ids=DIVIDED)
def test_a_query_divides_leads_in_two_with_emptiness_spelled_out(query: Json, inside: Json, outside: Json):
    """Nobody knows whether Close's "not in these statuses" holds for a lead without one; nothing here depends on it."""
    assert said(asserted(parse(query))) == canonical(inside)
    assert said(denied(parse(query))) == canonical(outside)


def said(query: Query) -> str:
    return canonical(query)


def test_turning_round_only_flips_the_sign():
    assert to_json(negated(parse(both(A, B)))) == no(both(A, B))
    assert to_json(negated(parse(no(A)))) == {**A, "negate": False}


# --- canonical --------------------------------------------------------------------------------------------------------


INSTANT = "2026-01-31T10:20:30.515Z"
SPELLED = [
    "2026-01-31T10:20:30.515000+00:00",
    "2026-01-31 10:20:30.515000+00:00",
    "2026-01-31 10:20:30.515+00:00",
    "2026-01-31T10:20:30.515",
    "2026-01-31T10:20:30.515000",
    "2026-01-31T12:20:30.515+02:00",
]


def at(instant: str) -> Json:
    return on("date_created", {"type": "moment_range", "before": {"type": "fixed_utc", "value": instant}})


def during(instant: str) -> Json:
    return {"type": "in_status", "status_ids": ["stat_1"], "on_or_after": {"type": "fixed_utc", "value": instant}}


def unheard_of(instant: str) -> Json:
    return {"type": "near", "around": [{"type": "fixed_utc", "value": instant}]}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (both(A, B), both(A, B, negate=False)),
        (A, {"value": "lead_a", "negate": False, "type": "id"}),
        (
            on("n", {"type": "number_range", "lte": 0}),
            on("n", {"type": "number_range", "lte": 0.0, "gt": None, "lt": None}),
        ),
        ({"type": "text", "value": "x"}, {"type": "text", "value": "x", "mode": None}),
        *((at(INSTANT), at(spelled)) for spelled in SPELLED),
        (at("2026-01-31T00:00:00.000Z"), at("2026-01-31 00:00:00+00:00")),
        (at("2026-01-31T10:20:30.515001Z"), at("2026-01-31T11:20:30.515001+01:00")),
        *((during(INSTANT), during(spelled)) for spelled in SPELLED),
        *((unheard_of(INSTANT), unheard_of(spelled)) for spelled in SPELLED),
    ],
)
def test_equal_queries_are_equal_however_they_are_written(one: Json, other: Json):
    assert canonical(one) == canonical(other) == canonical(parse(one)) == canonical(parse(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (A, B),
        (A, no(A)),
        (both(A, B), both(B, A)),
        (both(A, B), either(A, B)),
        (on("n", {"type": "number_range", "lte": 0.5}), on("n", {"type": "number_range", "lte": 0})),
        (on("n", {"type": "boolean", "value": True}), on("n", {"type": "boolean", "value": False})),
        (on("n", {"type": "term", "values": ["1"]}), on("n", {"type": "term", "values": [1]})),
        (on("n", {"type": "term", "values": [True]}), on("n", {"type": "term", "values": [1]})),
        (on("n", {"type": "term", "values": ["é"]}), on("n", {"type": "term", "values": ["e\u0301"]})),
        (at(INSTANT), at("2026-01-31T10:20:30.516Z")),
        (at(INSTANT), at("2026-01-31T10:20:30.515001Z")),
        (at(INSTANT), at("2026-01-31T10:20:30.515+01:00")),
        (at("sometime"), at("some time")),
        (at("0001-01-01T00:00:00+02:00"), at("0001-01-01T00:00:00+03:00")),
        ({"type": "text", "value": INSTANT}, {"type": "text", "value": SPELLED[0]}),
    ],
)
def test_different_queries_are_different(one: Json, other: Json):
    assert canonical(one) != canonical(other)
    assert canonical(parse(one)) != canonical(parse(other))


def test_the_canonical_text_has_instants_as_we_write_them_so_that_earlier_digests_hold():
    assert canonical(at(INSTANT)) == canonical(at(INSTANT), as_spelled=True)
    assert canonical(at(SPELLED[0])) != canonical(at(SPELLED[0]), as_spelled=True)
    assert f'"{INSTANT}"' in canonical(at(SPELLED[0]))


@pytest.mark.parametrize(
    "moment",
    [
        {
            "type": "offset",
            "direction": "past",
            "moment": {"type": "now"},
            "offset": {"quarters": 4},
            "which_day_end": "start",
        },
        {"type": "offset", "direction": "past", "moment": {"type": "now"}, "offset": {"days": 4}, "business": True},
        {"type": "now", "rounded_to": "quarter"},
        {"type": "fixed_local_date", "value": "2026-01-31", "which": "start", "minus_years": 2},
    ],
)
def test_a_moment_that_says_more_than_we_know_is_never_fixed_to_less(moment: Json):
    """Four quarters ago, without the quarters, is now: everything would be older."""
    with pytest.raises(UnusableQuery, match="unknown to us, so it can't be frozen"):
        freeze(
            parse(
                {
                    "type": "field_condition",
                    "field": {"type": "regular_field", "object_type": "lead", "field_name": "date_created"},
                    "condition": {"type": "moment_range", "before": moment},
                }
            ),
            datetime(2026, 3, 31, tzinfo=UTC),
            UTC_ZONE,
            {},
        )


def test_a_nested_view_that_says_more_than_we_know_is_not_put_in_place():
    nested = parse({"type": "saved_search", "saved_search_id": "save_1", "results_limit": 50})

    with pytest.raises(UnusableQuery, match="has results_limit, which we don't know"):
        inline(nested, lambda _: parse(A))


def test_what_is_related_to_nothing_is_related_to_no_lead():
    """A keep rule of this kind would protect nobody."""
    nothing = {"type": "match_all", "negate": True}
    contacts = {"type": "object_type", "object_type": "contact"}

    def related(query: dict[str, Any]) -> Query:
        return parse(
            {
                "type": "has_related",
                "this_object_type": "lead",
                "related_object_type": "contact",
                "related_query": query,
            }
        )

    assert always(related(nothing)) is False
    assert always(related(contacts)) is None
