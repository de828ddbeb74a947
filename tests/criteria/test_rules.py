"""What each rule asks of Close, word for word."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tasks.close.query.nodes import to_json
from tasks.close.resources import CustomField, LeadStatus, SmartView
from tasks.criteria.names import Names
from tasks.criteria.policy import Keep, Match
from tasks.criteria.rules import keep_rules, match_clauses
from tasks.runs.outcomes import Refused

Json = dict[str, Any]
AS_OF = datetime(2026, 3, 31, 10, 20, 30, 456000, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
BARE: dict[str, Any] = {
    "open_opportunities": False,
    "won_opportunities": False,
    "upcoming_meetings": False,
    "running_workflows": False,
    "created_within_days": None,
    "communication_within_days": None,
}
"""A `Keep` in which nothing is on."""


def on(name: str, condition: Json, object_type: str = "lead", **node: Any) -> Json:
    field = {"type": "regular_field", "object_type": object_type, "field_name": name}
    return {"type": "field_condition", "field": field, "condition": condition, **node}


def custom(field_id: str, condition: Json) -> Json:
    field = {"type": "custom_field", "custom_field_id": field_id}
    return {"type": "field_condition", "field": field, "condition": condition}


def both(*queries: Json, **node: Any) -> Json:
    return {"type": "and", "queries": list(queries), **node}


def either(*queries: Json) -> Json:
    return {"type": "or", "queries": list(queries)}


def has(related: str, query: Json, this: str = "lead", **node: Any) -> Json:
    kinds = {"this_object_type": this, "related_object_type": related}
    return {"type": "has_related", **kinds, "related_query": query, **node}


def before(name: str, instant: str) -> Json:
    return on(name, {"type": "moment_range", "before": {"type": "fixed_utc", "value": instant}})


def since(name: str, instant: str) -> Json:
    return on(name, {"type": "moment_range", "on_or_after": {"type": "fixed_utc", "value": instant}})


def words(name: str, value: str, object_type: str = "lead", mode: str = "full_words") -> Json:
    return on(name, {"type": "text", "mode": mode, "value": value}, object_type)


EXISTS: Json = {"type": "exists"}
LEADS: Json = {"type": "object_type", "object_type": "lead"}
JUNK: Json = on("status_id", {"type": "reference", "reference_type": "status.lead", "object_ids": ["stat_1"]})
AT_EXAMPLE: Json = has("contact", has("contact_email", words("email", "example.com", "contact_email"), "contact"))

NAMES = Names(
    statuses=[LeadStatus(id="stat_1", label="Junk"), LeadStatus(id="stat_2", label="Bad Fit")],
    custom_fields=[
        CustomField(id="cf_t", name="Source", type="text"),
        CustomField(id="cf_c", name="Tier", type="choices", choices=["Gold", "Silver"]),
        CustomField(id="cf_n", name="Score", type="number"),
        CustomField(id="cf_u", name="Owner", type="user"),
        CustomField(id="cf_d", name="Renewal", type="date"),
    ],
    smart_views=[
        SmartView(id="save_1", name="Junk view", s_query={"query": both(LEADS, JUNK), "sort": []}),
        SmartView(id="save_2", name="New", s_query={"query": on("date_created", {"type": "moment_range"}), "sort": []}),
        SmartView(id="save_3", name="No lead", s_query={"query": {**LEADS, "negate": True}}),
    ],
)

MATCHED: dict[str, tuple[Json, list[Json]]] = {
    "one status": ({"status": ["Junk"]}, [JUNK]),
    "statuses by label and id": (
        {"status": ["Bad Fit", "stat_1"]},
        [on("status_id", {"type": "reference", "reference_type": "status.lead", "object_ids": ["stat_2", "stat_1"]})],
    ),
    "silent for a month, or never spoken to and as old": (
        {"inactive_months": 1},
        [
            either(
                before("last_communication_date", "2026-02-28T10:20:30.456Z"),
                both(
                    on("last_communication_date", EXISTS, negate=True),
                    before("date_created", "2026-02-28T10:20:30.456Z"),
                ),
            )
        ],
    ),
    "never spoken to": ({"never_communicated": True}, [on("last_communication_date", EXISTS, negate=True)]),
    "created more than two years ago": (
        {"created_before_months": 25},
        [before("date_created", "2024-02-29T10:20:30.456Z")],
    ),
    "without contacts": (
        {"without_contacts": True},
        [has("contact", on("date_created", EXISTS, "contact"), negate=True)],
    ),
    "unreachable": (
        {"unreachable": True},
        [
            has(
                "contact",
                either(
                    has("contact_email", on("email", EXISTS, "contact_email"), "contact"),
                    has("contact_phone", on("phone", EXISTS, "contact_phone"), "contact"),
                ),
                negate=True,
            )
        ],
    ),
    "one word": ({"name_words": ["Test"]}, [words("name", "test")]),
    "any of two words": ({"name_words": ["test", "dummy"]}, [either(words("name", "test"), words("name", "dummy"))]),
    "a domain": ({"email_domains": ["example.com"]}, [AT_EXAMPLE]),
    "text": (
        {"custom_fields": {"Source": ["a", "b"]}},
        [
            either(
                custom("cf_t", {"type": "text", "mode": "exact_value", "value": "a"}),
                custom("cf_t", {"type": "text", "mode": "exact_value", "value": "b"}),
            )
        ],
    ),
    "each custom field": (
        {"custom_fields": {"Tier": ["Gold", "Silver"], "cf_n": 5, "Owner": "user_1"}},
        [
            custom("cf_c", {"type": "term", "values": ["Gold", "Silver"]}),
            custom("cf_n", {"type": "number_range", "gte": 5.0, "lte": 5.0}),
            custom("cf_u", {"type": "reference", "reference_type": "user", "object_ids": ["user_1"]}),
        ],
    ),
    "a Smart View": ({"smart_view": "Junk view"}, [both(LEADS, JUNK)]),
    "a pasted query, its moments fixed": (
        {"s_query": {"query": on("date_created", {"type": "moment_range", "before": {"type": "now"}})}},
        [before("date_created", "2026-03-31T10:20:30.456Z")],
    ),
    "several at once, each a clause": (
        {"status": ["Junk"], "never_communicated": True, "s_query": JUNK},
        [JUNK, on("last_communication_date", EXISTS, negate=True), JUNK],
    ),
}

ACTIVE: Json = has("opportunity", on("status_type", {"type": "term", "values": ["active"]}, "opportunity"))
RUNNING: Json = has(
    "sequence_subscription",
    on("status", {"type": "term", "values": ["active", "paused"]}, "sequence_subscription"),
)
KEPT: dict[str, tuple[Json, Json]] = {
    "open_opportunities": ({"open_opportunities": True}, ACTIVE),
    "won_opportunities": (
        {"won_opportunities": True},
        has("opportunity", on("status_type", {"type": "term", "values": ["won"]}, "opportunity")),
    ),
    "upcoming_meetings": ({"upcoming_meetings": True}, on("num_upcoming_meetings", {"type": "number_range", "gt": 0})),
    "running_workflows": ({"running_workflows": True}, RUNNING),
    "created_within_days": ({"created_within_days": 31}, since("date_created", "2026-02-28T10:20:30.456Z")),
    "communication_within_days": (
        {"communication_within_days": 1},
        since("last_communication_date", "2026-03-30T10:20:30.456Z"),
    ),
    "open_tasks": ({"open_tasks": True}, on("num_incomplete_tasks", {"type": "number_range", "gt": 0})),
    "status": ({"status": ["Junk"]}, JUNK),
    "lead_ids": (
        {"lead_ids": ["lead_1", "lead_2"]},
        either({"type": "id", "value": "lead_1"}, {"type": "id", "value": "lead_2"}),
    ),
    "email_domains": ({"email_domains": ["example.com"]}, AT_EXAMPLE),
    "custom_fields": (
        {"custom_fields": {"Source": "a", "Tier": "Gold"}},
        either(
            custom("cf_t", {"type": "text", "mode": "exact_value", "value": "a"}),
            custom("cf_c", {"type": "term", "values": ["Gold"]}),
        ),
    ),
    "smart_view": ({"smart_view": "Junk view"}, JUNK),
    "s_query": ({"s_query": {"query": both(LEADS, both(LEADS, JUNK)), "results_limit": 5}}, JUNK),
}


@pytest.mark.parametrize(("given", "clauses"), MATCHED.values(), ids=MATCHED)
def test_each_criterion_is_one_clause(given: Json, clauses: list[Json]):
    found = match_clauses(Match.model_validate(given), NAMES, AS_OF, UTC_ZONE)

    assert [to_json(clause) for clause in found] == clauses


@pytest.mark.parametrize(("rule", "given", "query"), [(rule, *case) for rule, case in KEPT.items()], ids=KEPT)
def test_each_keep_rule_is_one_query_by_its_name(rule: str, given: Json, query: Json):
    found = keep_rules(Keep.model_validate({**BARE, **given}), NAMES, AS_OF, UTC_ZONE)

    assert {name: to_json(each) for name, each in found.items()} == {rule: query}


def test_every_criterion_and_every_keep_rule_is_among_them():
    """One that is accepted as a parameter and asks nothing of Close would be ignored without a word."""
    criteria = {name for given, _ in MATCHED.values() for name in given}
    assert criteria == set(Match.model_fields) - {"allow_unknown_nodes"}
    assert set(KEPT) == set(Keep.model_fields)


def test_what_keeps_unless_it_is_turned_off():
    assert list(keep_rules(Keep(), NAMES, AS_OF, UTC_ZONE)) == list(BARE)
    assert keep_rules(Keep.model_validate(BARE), NAMES, AS_OF, UTC_ZONE) == {}


def test_the_organisations_own_keep_view_holds_whatever_the_parameters():
    names = Names(smart_views=NAMES.smart_views, keep_view="Junk view")

    found = keep_rules(Keep.model_validate(BARE), names, AS_OF, UTC_ZONE)

    assert {name: to_json(each) for name, each in found.items()} == {"never_delete": JUNK}


def test_a_keep_view_that_cant_be_found_stops_the_run():
    with pytest.raises(Refused, match="There is no Smart View 'Never delete'"):
        keep_rules(Keep.model_validate(BARE), Names(keep_view="Never delete"), AS_OF, UTC_ZONE)


def test_a_keep_rule_that_protects_nobody_ever_is_refused():
    """An exemption that silently applies to nothing is worse than none: people count on it."""
    with pytest.raises(Refused, match=r"keep\.smart_view can't protect any lead"):
        keep_rules(Keep(smart_view="No lead"), NAMES, AS_OF, UTC_ZONE)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"Origin": "x"}, "no lead custom field 'Origin'"),
        ({"Tier": "gold"}, "'Tier' has no choice 'gold'; did you mean 'Gold'"),
        ({"Score": "many"}, "'Score' holds numbers; 'many' is not a number"),
        ({"Score": "nan"}, "'Score' holds numbers; 'nan' is not a number"),
        ({"Score": True}, "'Score' holds numbers; True is not a number"),
        ({"Score": 10**400}, r"'Score' holds numbers; 10+\.\.\.0+ is not a number"),
        ({"Source": True}, "'Source' holds text; put True in quotes"),
        ({"Source": 1.1}, "'Source' holds text; put 1.1 in quotes"),
        ({"Source": 83}, "'Source' holds text; put 83 in quotes"),
        ({"Owner": "Bruce"}, "'Owner' holds users; use their ids .* not 'Bruce'"),
        ({"Renewal": "2026-01-01"}, "of the type date, which custom_fields can't compare; use s_query"),
    ],
)
def test_a_value_that_a_field_cant_have_is_refused(fields: Json, reason: str):
    with pytest.raises(Refused, match=reason):
        match_clauses(Match(custom_fields=fields), NAMES, AS_OF, UTC_ZONE)
    with pytest.raises(Refused, match=reason):
        keep_rules(Keep(custom_fields=fields), NAMES, AS_OF, UTC_ZONE)


def test_a_view_that_has_come_to_ask_for_nothing_is_refused():
    with pytest.raises(Refused, match=r"Smart View 'New' can't be used: .* no value"):
        match_clauses(Match(smart_view="New"), NAMES, AS_OF, UTC_ZONE)
