"""Queries go in and come out as they were, whatever people export; and what can't be meant can't be built."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.close.query.conditions import Exists, FixedUtc, Offset, Part, UnknownCondition, UnknownField, UnknownMoment
from tasks.close.query.nodes import (
    And,
    Id,
    MatchAll,
    Or,
    UnknownNode,
    all_of,
    any_of,
    before,
    empty,
    has,
    lead_field,
    on_or_after,
    parse,
    parts,
    to_json,
    unknown_parts,
    where,
)

Json = dict[str, Any]


def field(name: str, object_type: str = "lead") -> Json:
    return {"type": "regular_field", "object_type": object_type, "field_name": name}


def condition(name: str, of: Json, **node: Any) -> Json:
    return {"type": "field_condition", "field": field(name), "condition": of, **node}


def offset(**units: int) -> Json:
    """As Close exports it: always all seven units."""
    every = {"years": 0, "months": 0, "weeks": 0, "days": 0, "hours": 0, "minutes": 0, "seconds": 0}
    return {
        "type": "offset",
        "direction": "past",
        "moment": {"type": "now"},
        "offset": {**every, **units},
        "which_day_end": "start",
    }


LEADS: Json = {"type": "object_type", "object_type": "lead"}
ADDRESS: Json = {
    "type": "field_condition",
    "field": field("email", "contact_email"),
    "condition": {"type": "text", "mode": "full_words", "value": "ann@example.com"},
}

EXPORTED: dict[str, Json] = {
    "a name in full words": {
        "type": "and",
        "queries": [LEADS, condition("name", {"type": "text", "mode": "full_words", "value": "Globex Ltd."})],
    },
    "stale, not in two statuses, no meeting ahead, negate on every node": {
        "negate": False,
        "type": "and",
        "queries": [
            {"negate": False, **LEADS},
            {
                "negate": False,
                "type": "and",
                "queries": [
                    condition(
                        "status_id",
                        {"type": "reference", "reference_type": "status.lead", "object_ids": ["stat_1", "stat_2"]},
                        negate=True,
                    ),
                    condition("num_upcoming_meetings", {"type": "number_range", "lte": 0.0}, negate=False),
                    condition(
                        "last_communication_date",
                        {"type": "moment_range", "before": {"type": "now"}, "on_or_after": offset(months=6)},
                        negate=True,
                    ),
                ],
            },
        ],
    },
    "created within a month of local dates": condition(
        "date_created",
        {
            "type": "moment_range",
            "on_or_after": {"type": "fixed_local_date", "value": "2025-03-01", "which": "start"},
            "before": {"type": "fixed_local_date", "value": "2025-04-01", "which": "start"},
        },
        negate=False,
    ),
    "contacts by e-mail address": {
        "type": "and",
        "queries": [
            {"type": "object_type", "object_type": "contact"},
            {
                "type": "has_related",
                "this_object_type": "contact",
                "related_object_type": "contact_email",
                "related_query": {"type": "and", "queries": [ADDRESS]},
            },
        ],
    },
    "leads by the e-mail address of a contact": {
        "type": "has_related",
        "this_object_type": "lead",
        "related_object_type": "contact",
        "related_query": {
            "type": "has_related",
            "this_object_type": "contact",
            "related_object_type": "contact_email",
            "related_query": ADDRESS,
        },
    },
    "groups in groups, as Copy Filters gives them": {
        "type": "and",
        "queries": [
            LEADS,
            {
                "type": "and",
                "queries": [
                    {
                        "type": "or",
                        "queries": [
                            condition(
                                "status_id",
                                {"type": "reference", "reference_type": "status.lead", "object_ids": ["stat_3"]},
                            )
                        ],
                    }
                ],
            },
        ],
    },
    "everything": {"type": "match_all", "negate": False},
    "a nested Smart View": {"type": "saved_search", "saved_search_id": "save_1", "negate": True},
    "an open bound written as null": condition(
        "date_created",
        {"type": "moment_range", "on_or_after": None, "before": {"type": "fixed_utc", "value": "2025-01-02T03:04:05"}},
    ),
    "every other bound of a number, some null": condition(
        "num_contacts", {"type": "number_range", "gt": None, "gte": 1, "lt": 2.5, "lte": None}
    ),
    "an old custom field": {
        "type": "field_condition",
        "field": {"type": "custom_field", "custom_field_id": "lcf_Abc1"},
        "condition": {"type": "term", "values": ["Fair", 3, 1.5, True, "true"]},
    },
    "opportunities that were in a status": {
        "type": "has_related",
        "this_object_type": "lead",
        "related_object_type": "opportunity",
        "related_query": {
            "type": "in_status",
            "status_ids": ["stat_4"],
            "on_or_after": {"type": "fixed_utc", "value": "2025-12-18T13:33:33+00:00"},
            "before": None,
        },
    },
    "the lead's own time of day": condition(
        "timezone_id", {"type": "local_time", "on_or_after": "08:00:00", "before": "21:00:00"}
    ),
    "instants in every spelling": {
        "type": "or",
        "queries": [
            condition("date_updated", {"type": "moment_range", "before": {"type": "fixed_utc", "value": text}})
            for text in ("2025-12-18T13:33:33+00:00", "2025-12-18T03:04:05", "2025-12-18T03:04:14.689Z")
        ],
    },
    "ids, words, flags and the current user": {
        "type": "or",
        "queries": [
            {"type": "id", "value": "lead_1"},
            {"type": "text", "value": "import", "mode": "phrase"},
            {"type": "text", "value": "import", "mode": None},
            condition("some_flag", {"type": "boolean", "value": False}),
            condition("created_by", {"type": "current_user"}),
            condition("url", {"type": "exists"}, negate=True),
        ],
    },
    "distances without which_day_end, forward, from another distance": condition(
        "next_task_date",
        {
            "type": "moment_range",
            "before": {
                "type": "offset",
                "direction": "future",
                "moment": offset(days=1, minutes=5),
                "offset": {"days": 2},
                "which_day_end": None,
            },
        },
    ),
}

STRANGE: dict[str, tuple[Json, list[str]]] = {
    "a node": ({"type": "near", "place": {"lat": 1.5, "long": None}, "negate": False}, ["near"]),
    "a node without a type": ({"queries": [{"type": "id", "value": "lead_1"}]}, ["(no type)"]),
    "a node deep inside": (
        {"type": "or", "queries": [LEADS, {"type": "and", "queries": [{"type": "near"}]}]},
        ["near"],
    ),
    "a condition": (condition("name", {"type": "sounds_like", "value": ["x"]}), ["sounds_like"]),
    "a field": (
        {"type": "field_condition", "field": {"type": "computed", "of": 1}, "condition": {"type": "exists"}},
        ["computed"],
    ),
    "a moment": (
        condition("date_created", {"type": "moment_range", "before": {"type": "start_of_quarter", "nth": 2}}),
        ["start_of_quarter"],
    ),
    "keys beside those we know": (
        {
            "type": "and",
            "uid": 7,
            "queries": [condition("name", {"type": "exists", "fuzzy": [True, None]}, label="Name")],
        },
        ["and.uid", "field_condition.label", "exists.fuzzy"],
    ),
    "a unit of a distance": (
        condition("date_created", {"type": "moment_range", "before": {**offset(), "offset": {"quarters": 1}}}),
        ["offset.quarters"],
    ),
}


@pytest.mark.parametrize("exported", EXPORTED.values(), ids=EXPORTED)
def test_what_people_export_comes_out_as_it_went_in(exported: Json):
    query = parse(exported)

    assert written_as(to_json(query)) == written_as(exported)
    assert unknown_parts(query) == []


@pytest.mark.parametrize(("strange", "names"), STRANGE.values(), ids=STRANGE)
def test_what_we_dont_know_is_kept_and_named(strange: Json, names: list[str]):
    query = parse(strange)

    assert written_as(to_json(query)) == written_as(strange)
    assert unknown_parts(query) == names


def written_as(document: Json) -> str:
    """The text that is sent, apart from the order of keys: 1, 1.0 and true are equal in Python, but not there."""
    return json.dumps(document, sort_keys=True)


def test_unknown_pieces_are_of_the_kind_that_stands_there():
    query = parse(
        {
            "type": "and",
            "queries": [
                {"type": "?"},
                {"type": "field_condition", "field": {"type": "?"}, "condition": {"type": "?"}},
                condition("date_created", {"type": "moment_range", "before": {"type": "?"}}),
            ],
        }
    )

    kinds = {type(part) for part in parts(query)}
    assert kinds >= {UnknownNode, UnknownField, UnknownCondition, UnknownMoment}


@pytest.mark.parametrize("group", [And, Or])
def test_a_group_without_members_cannot_be_built(group: type[And] | type[Or]):
    """An empty selection that means everything has deleted whole systems: it isn't a value here."""
    with pytest.raises(ValidationError):
        group(queries=())
    with pytest.raises(ValidationError):
        parse({"type": "and", "queries": [LEADS, {"type": "or", "queries": []}]})
    with pytest.raises(ValidationError):
        any_of([])
    with pytest.raises(ValidationError):
        all_of([])


@pytest.mark.parametrize(
    "misshapen",
    [
        {"type": "and"},
        {"type": "and", "queries": {}},
        {"type": "and", "queries": [None]},
        {"type": "object_type"},
        {"type": "id", "value": 7},
        {"type": "match_all", "negate": "no"},
        {"type": "match_all", "negate": 0},
        condition("flag", {"type": "boolean", "value": "true"}),
        condition("num_contacts", {"type": "number_range", "gt": "5"}),
        condition("num_contacts", {"type": "number_range", "gt": True}),
        condition("status_id", {"type": "term", "values": [None]}),
        condition("date_created", {"type": "moment_range", "before": "2025-01-01"}),
        {"type": "has_related", "this_object_type": "lead", "related_object_type": "contact"},
    ],
    ids=json.dumps,
)
def test_a_known_piece_of_the_wrong_shape_is_not_read(misshapen: Json):
    """Reading "5" as 5 or 0 as false would write another query than people gave."""
    with pytest.raises(ValidationError):
        parse(misshapen)


def test_queries_cannot_be_changed():
    query = parse(LEADS)

    with pytest.raises(ValidationError):
        query.negate = True


MOMENT = datetime(2026, 1, 31, 23, 59, 58, 123999, tzinfo=UTC)
NAME = lead_field("name")

BUILT: dict[str, tuple[Part, Json]] = {
    "where": (
        where(NAME, Exists()),
        {"type": "field_condition", "field": field("name"), "condition": {"type": "exists"}},
    ),
    "empty": (
        empty(NAME),
        {"type": "field_condition", "field": field("name"), "condition": {"type": "exists"}, "negate": True},
    ),
    "before": (
        before(NAME, MOMENT),
        condition(
            "name", {"type": "moment_range", "before": {"type": "fixed_utc", "value": "2026-01-31T23:59:58.123Z"}}
        ),
    ),
    "on_or_after": (
        on_or_after(NAME, MOMENT),
        condition(
            "name", {"type": "moment_range", "on_or_after": {"type": "fixed_utc", "value": "2026-01-31T23:59:58.123Z"}}
        ),
    ),
    "any_of one": (any_of([Id(value="lead_1")]), {"type": "id", "value": "lead_1"}),
    "any_of two": (
        any_of([Id(value="lead_1"), MatchAll()]),
        {"type": "or", "queries": [{"type": "id", "value": "lead_1"}, {"type": "match_all"}]},
    ),
    "all_of one": (all_of([MatchAll()]), {"type": "match_all"}),
    "all_of two": (
        all_of([Id(value="lead_1"), MatchAll()]),
        {"type": "and", "queries": [{"type": "id", "value": "lead_1"}, {"type": "match_all"}]},
    ),
    "has": (
        has("contact", MatchAll()),
        {
            "type": "has_related",
            "this_object_type": "lead",
            "related_object_type": "contact",
            "related_query": {"type": "match_all"},
        },
    ),
}


@pytest.mark.parametrize(("query", "expected"), BUILT.values(), ids=BUILT)
def test_what_is_built_by_hand_says_only_what_was_said(query: Part, expected: Json):
    assert to_json(query) == expected


def test_instants_are_written_in_utc_cut_to_milliseconds():
    """Six digits with an offset have been reported as rejected by Close."""
    berlin = timezone(timedelta(hours=1))

    assert FixedUtc.at(datetime(2026, 2, 1, 0, 30, 0, 999_999, tzinfo=berlin)).value == "2026-01-31T23:30:00.999Z"
    assert FixedUtc.at(datetime(2026, 1, 31, tzinfo=UTC)).value == "2026-01-31T00:00:00.000Z"


def test_parts_visits_everything_outermost_first():
    query = parse(condition("date_created", {"type": "moment_range", "before": offset(days=1)}))

    names = [type(part).__name__ for part in parts(query)]
    assert names == ["FieldCondition", "RegularField", "MomentRange", "Offset", "Now", "Span"]
    assert isinstance(next(part for part in parts(query) if isinstance(part, Offset)).moment, Part)
