"""What a query that people wrote or stored must not be, each refused in one sentence that says what to do."""

from typing import Any

import pytest

from tasks.close.query.check import check
from tasks.close.query.nodes import ObjectType, parse
from tasks.close.query.paste import unwrap
from tasks.close.query.rewrite import UnusableQuery

Json = dict[str, Any]
LEADS: Json = {"type": "object_type", "object_type": "lead"}
JUNK: Json = {
    "type": "field_condition",
    "field": {"type": "regular_field", "object_type": "lead", "field_name": "status_id"},
    "condition": {"type": "reference", "reference_type": "status.lead", "object_ids": ["stat_junk"]},
}


def lead(condition: Json, name: str = "name", object_type: str = "lead", **node: Any) -> Json:
    field = {"type": "regular_field", "object_type": object_type, "field_name": name}
    return {"type": "field_condition", "field": field, "condition": condition, **node}


def created(before: Json) -> Json:
    return lead({"type": "moment_range", "before": before}, "date_created")


def ago(moment: Json | None = None, **units: int) -> Json:
    return {"type": "offset", "direction": "past", "moment": moment or {"type": "now"}, "offset": units}


# --- unwrap -----------------------------------------------------------------------------------------------------------


def test_a_bare_node_is_the_query_itself():
    assert unwrap(LEADS) == (ObjectType(object_type="lead"), None)


@pytest.mark.parametrize("limit", [None, 0, 50])
def test_what_a_smart_view_stores_is_taken_apart(limit: int | None):
    stored: Json = {
        "limit": None,
        "query": LEADS,
        "results_limit": limit,
        "sort": [],
        "_limit": 200,
        "include_counts": True,
    }

    assert unwrap(stored) == (ObjectType(object_type="lead"), limit)
    assert unwrap({"query": LEADS}) == (ObjectType(object_type="lead"), None)


@pytest.mark.parametrize("limit", [50.0, "50", True, []])
def test_a_limit_that_cant_be_read_is_not_no_limit(limit: object):
    """Otherwise "the 50 oldest" would become all of them."""
    with pytest.raises(UnusableQuery, match="results_limit"):
        unwrap({"query": LEADS, "results_limit": limit})


@pytest.mark.parametrize("document", [{}, {"query": None}, {"query": "*"}, {"query": [LEADS]}, {"results_limit": 5}])
def test_what_holds_no_query_is_said_to(document: Json):
    with pytest.raises(UnusableQuery, match="neither a query node"):
        unwrap(document)


# --- check ------------------------------------------------------------------------------------------------------------

USABLE: dict[str, Json] = {
    "a status": JUNK,
    "a status of leads": {"type": "and", "queries": [LEADS, JUNK]},
    "moments that can be fixed": {
        "type": "or",
        "queries": [
            created({"type": "now"}),
            created({"type": "fixed_local_date", "value": "2024-02-29", "which": "end"}),
            created(ago(ago(days=1), months=6)),
            created(ago({"type": "fixed_local_date", "value": "2026-01-31"}, months=6)),
        ],
    },
    "a contact's field, in has_related": {
        "type": "has_related",
        "this_object_type": "lead",
        "related_object_type": "contact",
        "related_query": {
            "type": "and",
            "queries": [
                {"type": "object_type", "object_type": "contact"},
                lead({"type": "exists"}, "title", "contact"),
            ],
        },
    },
    "a name that is one sign": lead({"type": "text", "mode": "exact_value", "value": "-"}),
    "none of two values": lead({"type": "term", "values": ["a", "b"]}, negate=True),
}

USELESS: dict[str, tuple[Json, str]] = {
    "contacts": ({"type": "and", "queries": [{"type": "object_type", "object_type": "contact"}]}, "contact objects"),
    "a contact's field": ({"type": "or", "queries": [lead({"type": "exists"}, "title", "contact")]}, "has_related"),
    "what a contact has": (
        {
            "type": "has_related",
            "this_object_type": "contact",
            "related_object_type": "contact_email",
            "related_query": {"type": "match_all"},
        },
        "related to a contact",
    ),
    "the current user": (lead({"type": "current_user"}, "created_by"), "current user"),
    "the current user as a reference": (
        lead({"type": "reference", "reference_type": "user", "object_ids": ["user_1", "CURRENT_USER"]}),
        "current user",
    ),
    "the current user as a term": (lead({"type": "term", "values": ["CURRENT_USER"]}), "current user"),
    "the hour": (lead({"type": "local_time", "before": "09:00:00"}, "timezone_id"), "local_time"),
    "a moment we can't fix": (created({"type": "start_of_week"}), "fixed_utc"),
    "a distance from one": (created(ago({"type": "start_of_week"}, days=1)), "fixed_utc"),
    "a date there isn't": (created({"type": "fixed_local_date", "value": "2025-02-29"}), "2025-02-29"),
    "an instant there isn't": (created(ago({"type": "fixed_utc", "value": "soon"}, days=1)), "'soon'"),
    "an instant that only Close could read": (created({"type": "fixed_utc", "value": "now-1y"}), "'now-1y' .* instant"),
    "before all calendars": (created(ago(years=2026)), "is outside the calendar"),
    "after all calendars": (
        created({"type": "fixed_local_date", "value": "9999-12-31", "which": "end"}),
        "is outside the calendar",
    ),
    "an unknown node": ({"type": "and", "queries": [JUNK, {"type": "near"}]}, "near"),
    "a node without a type": ({"type": "and", "queries": [JUNK, {"query": JUNK}]}, "no type"),
    "an unknown key": ({**JUNK, "results_limit": 5}, "field_condition.results_limit"),
    "everything": ({"type": "match_all"}, "matches every lead"),
    "all leads": ({"type": "and", "queries": [LEADS, {"type": "or", "queries": [LEADS, JUNK]}]}, "matches every lead"),
    "not no leads": (
        {"type": "and", "negate": True, "queries": [JUNK, {"type": "match_all", "negate": True}]},
        "matches every lead",
    ),
    "no words": ({"type": "text", "value": "*"}, "text condition .* no value"),
    "no text": (lead({"type": "text", "mode": "exact_value", "value": " "}), "text condition .* no value"),
    "no terms": (lead({"type": "term", "values": []}, negate=True), "term condition .* no value"),
    "no statuses": (
        lead({"type": "reference", "reference_type": "status.lead", "object_ids": []}, "status_id", negate=True),
        "reference condition .* no value",
    ),
    "no bounds": (lead({"type": "number_range", "gt": None}, "num_contacts"), "number_range condition .* no value"),
    "no bound at all": (
        lead({"type": "number_range", "gte": float("-inf")}, "num_contacts"),
        "number_range condition .* no value",
    ),
    "not a number": (lead({"type": "number_range", "lt": float("nan")}, "num_contacts"), "number_range .* no value"),
    "no id": ({"type": "id", "value": " ", "negate": True}, "id condition .* no value"),
    "no instants": (lead({"type": "moment_range", "before": None}, "date_created"), "moment_range .* no value"),
    "no former statuses": ({"type": "in_status", "status_ids": []}, "in_status condition .* no value"),
}


@pytest.mark.parametrize("usable", USABLE.values(), ids=USABLE)
def test_ordinary_queries_pass(usable: Json):
    check(parse(usable))


@pytest.mark.parametrize(("useless", "reason"), USELESS.values(), ids=USELESS)
def test_what_selects_something_uncertain_is_refused(useless: Json, reason: str):
    with pytest.raises(UnusableQuery, match=reason) as caught:
        check(parse(useless))

    assert "\n" not in str(caught.value)


STRANGE: Json = {"type": "near", "place": "Ulm"}


def test_unknown_parts_may_be_sent_on_request():
    check(parse({"type": "and", "queries": [JUNK, STRANGE]}), allow_unknown=True)


@pytest.mark.parametrize(
    "hidden",
    [
        {"type": "now"},
        ago(months=1),
        {"type": "fixed_local_date", "value": "2026-01-31"},
        {"queries": [{"type": "saved_search", "saved_search_id": "save_1"}]},
        {"condition": {"type": "current_user"}},
        {"object_ids": ["CURRENT_USER"]},
    ],
)
def test_what_must_be_fixed_can_not_hide_in_an_unknown_part(hidden: Json):
    """We would send it as it is, and Close would give it a meaning of its own at the time of the delete."""
    for strange in ({**STRANGE, "of": hidden}, {**JUNK, "of": hidden}, lead({"type": "sounds_like", "of": [hidden]})):
        with pytest.raises(UnusableQuery, match="can't be frozen"):
            check(parse(strange), allow_unknown=True)


@pytest.mark.parametrize("name", ["a node without a type", "everything", "the current user", "contacts"])
def test_allowing_unknown_parts_allows_nothing_else(name: str):
    useless, reason = USELESS[name]

    with pytest.raises(UnusableQuery, match=reason):
        check(parse(useless), allow_unknown=True)
