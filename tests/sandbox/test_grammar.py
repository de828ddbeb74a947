"""Every node, condition and moment of Advanced Filtering finds the leads it should, and only those."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from words_for_close import ANY, LEAD, Close, both, custom, either, field, related, utc, where

NEVER_AND_LONG_AGO = ({"name": "never"}, {"name": "long ago", "last_communication_date": "2020-01-01T00:00:00Z"})
BEFORE_2021 = where("last_communication_date", "moment_range", before=utc("2021-01-01T00:00:00Z"))


def test_groups_and_their_negation_are_complements(close: Close) -> None:
    close.load(*({"name": name} for name in ("a", "b", "c")))
    a, b = (where("name", "text", mode="full_words", value=name) for name in ("a", "b"))

    assert close.names(either(a, b)) == ["a", "b"]
    assert close.names(either(a, b, negate=True)) == ["c"]
    assert close.names(both(a, b)) == []
    assert close.names(both(a, b, negate=True)) == ["a", "b", "c"]
    assert close.names(both(either(a, negate=True), negate=True)) == ["a"]


def test_a_negated_condition_matches_an_empty_field(close: Close) -> None:
    """Close doesn't document it; whoever needs to be sure spells emptiness out."""
    close.load(*NEVER_AND_LONG_AGO)

    assert close.names(BEFORE_2021) == ["long ago"]
    assert close.names({**BEFORE_2021, "negate": True}) == ["never"]


def test_or_does_not_if_the_switch_says_so(close: Close) -> None:
    close.load(*NEVER_AND_LONG_AGO)
    close.control("POST", "behaviour", {"negated_empty_matches": False})

    assert close.names({**BEFORE_2021, "negate": True}) == []
    assert close.names(both(BEFORE_2021, negate=True)) == ["never"]
    assert close.names(both({**BEFORE_2021, "negate": True}, negate=True)) == ["never", "long ago"]


@pytest.mark.parametrize(
    ("mode", "value", "found"),
    [
        ("full_words", "test", ["Test", "test@test.com", "ACME test lead"]),
        ("full_words", "LEAD acme", ["ACME test lead"]),
        ("phrase", "acme test", ["ACME test lead"]),
        ("phrase", "test acme", []),
        ("phrase", "st lead", []),
        ("beginning_of_words", "test", ["Testudo", "Test", "test@test.com", "ACME test lead"]),
        ("exact_value", "acme TEST lead", ["ACME test lead"]),
        ("exact_value", "test", ["Test"]),
        ("full_words", "!?", []),
    ],
)
def test_text_is_compared_by_whole_words(close: Close, mode: str, value: str, found: list[str]) -> None:
    names = ("Testudo", "Protestant", "Contest", "Attestor", "Test", "test@test.com", "ACME test lead")
    close.load(*({"name": name} for name in names))

    assert close.names(where("name", "text", mode=mode, value=value)) == found


def test_words_know_letters_beyond_ascii(close: Close) -> None:
    close.load({"name": "CAFÉ Müller"}, {"name": "Cafeteria"})

    assert close.names(where("name", "text", mode="full_words", value="café")) == ["CAFÉ Müller"]
    assert close.names(where("name", "text", mode="exact_value", value="café müller")) == ["CAFÉ Müller"]


def test_full_text_looks_into_contacts_too(close: Close) -> None:
    close.load(
        {"name": "X", "contacts": [{"name": "Ann Lee", "emails": [{"email": "ann@acme.example"}]}]}, {"name": "Y"}
    )

    assert close.names({"type": "text", "mode": "full_words", "value": "ann"}) == ["X"]
    assert close.names({"type": "text", "mode": "full_words", "value": "acme x"}) == ["X"]
    assert close.names({"type": "text", "mode": "full_words", "value": "acme", "negate": True}) == ["Y"]


def test_status_is_a_reference(close: Close) -> None:
    close.load({"name": "junk", "status_label": "Junk"}, {"name": "new"})
    junk = next(each["id"] for each in close.get("status/lead/")["data"] if each["label"] == "Junk")
    is_junk = where("status_id", "reference", reference_type="status.lead", object_ids=[junk])

    assert close.names(is_junk) == ["junk"]
    assert close.names({**is_junk, "negate": True}) == ["new"]


@pytest.mark.parametrize(
    ("bounds", "found"),
    [({"gt": 1}, ["two"]), ({"gte": 1, "lt": 2}, ["one"]), ({"lte": 0}, ["none"]), ({"lt": 9.5}, 3)],
)
def test_number_ranges(close: Close, bounds: dict[str, Any], found: Any) -> None:
    calls = {"none": 0, "one": 1, "two": 2}
    close.load(*({"name": name, "activities": [{"_type": "Call"}] * count} for name, count in calls.items()))

    names = close.names(where("num_calls", "number_range", **bounds))

    assert (len(names) if isinstance(found, int) else names) == found


def test_a_moment_range_is_half_open(close: Close) -> None:
    moments = ("2024-01-01T00:00:00Z", "2024-01-31T23:59:59.999Z", "2024-02-01T00:00:00Z")
    close.load(*({"name": moment, "date_created": moment} for moment in moments))
    january = {"type": "fixed_local_date", "value": "2024-01-01", "which": "start"}

    within = where(
        "date_created", "moment_range", on_or_after=january, before={**january, "value": "2024-01-31", "which": "end"}
    )

    assert close.names(within) == list(moments[:2])
    assert close.names(where("date_created", "moment_range", before=utc(moments[1]))) == [moments[0]]


def test_local_dates_are_days_of_the_caller(close: Close) -> None:
    close.load({"name": "late on new year's eve in New York", "date_created": "2024-01-01T03:00:00Z"})
    new_year = {"type": "fixed_local_date", "value": "2024-01-01", "which": "start"}
    query = both(LEAD, where("date_created", "moment_range", before=new_year))

    def count(offset: str) -> int:
        found = close.post("data/search/", {"query": query, "include_counts": True}, **{"x-tz-offset": offset})
        return found["count"]["total"]

    assert (count("0"), count("-5"), count("-2.5")) == (0, 1, 0)


def _ago(which: str = "", **amounts: int) -> dict[str, Any]:
    units = dict.fromkeys(("years", "months", "weeks", "days", "hours", "minutes", "seconds"), 0)
    end = {"which_day_end": which} if which else {}
    return {"type": "offset", "direction": "past", "moment": {"type": "now"}, "offset": {**units, **amounts}, **end}


def test_offsets_count_back_from_now(close: Close) -> None:
    close.load({"name": "old", "date_created": "2020-06-15T12:00:00Z"}, {"name": "new"})

    assert close.names(where("date_created", "moment_range", before=_ago(months=6))) == ["old"]
    assert close.names(where("date_created", "moment_range", on_or_after=_ago("start", days=1))) == ["new"]
    assert close.names(where("date_created", "moment_range", before=_ago(seconds=0))) == ["old", "new"]
    assert (
        close.names(where("date_created", "moment_range", on_or_after={**_ago(weeks=1), "direction": "future"})) == []
    )


def _period(name: str, which: str) -> dict[str, Any]:
    return {"type": "start_end_of_predefined_relative_period", "range": name, "which": which}


@pytest.mark.parametrize(("first_day", "days_before_today"), [("monday", 0), ("sunday", 1)])
def test_a_predefined_period_begins_and_ends_with_a_day(close: Close, first_day: str, days_before_today: int) -> None:
    close.control("POST", "behaviour", {"week_starts_on": first_day})
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    close.load(*({"name": "x", "date_created": (noon - timedelta(days=ago)).isoformat()} for ago in range(64)))

    def found(name: str) -> int:
        bounds: Any = {"on_or_after": _period(name, "start"), "before": _period(name, "end")}
        return len(close.names(where("date_created", "moment_range", **bounds)))

    last_month = (noon.replace(day=1) - timedelta(days=1)).day
    assert (found("today"), found("yesterday")) == (1, 1)
    assert (found("this-month"), found("last-month")) == (noon.day, last_month)
    assert (found("this-week"), found("last-week")) == ((noon.weekday() + days_before_today) % 7 + 1, 7)
    assert "Not a valid choice" in str(
        close.refused(where("date_created", "moment_range", before=_period("this-year", "end")))
    )


@pytest.mark.parametrize(("days_on_dates", "found"), [("days", "1 January"), ("instants", "2 January")])
def test_a_day_on_a_field_of_dates_is_a_day_or_an_instant_of_the_caller(
    close: Close, days_on_dates: str, found: str
) -> None:
    """Seen from New York, where 1 January begins at 05:00 UTC, after the midnight that stands for the date."""
    close.control("POST", "behaviour", {"days_on_dates": days_on_dates})
    renewal = close.post("custom_field/lead/", {"name": "renewal", "type": "date"})["id"]
    days = {"31 December": "2023-12-31", "1 January": "2024-01-01", "2 January": "2024-01-02"}
    close.load(
        *(
            {"name": name, f"custom.{renewal}": day, "opportunities": [{"status_type": "won", "date_won": day}]}
            for name, day in days.items()
        )
    )
    new_year = {"type": "fixed_local_date", "value": "2024-01-01"}
    condition = {
        "type": "moment_range",
        "on_or_after": {**new_year, "which": "start"},
        "before": {**new_year, "which": "end"},
    }
    custom = {"type": "custom_field", "custom_field_id": renewal}
    won = {"type": "regular_field", "object_type": "opportunity", "field_name": "date_won"}

    for query in (
        {"type": "field_condition", "field": custom, "condition": condition},
        related("opportunity", {"type": "field_condition", "field": won, "condition": condition}),
    ):
        asked = {"query": both(LEAD, query), "_fields": {"lead": ["name"]}}
        answer = close.post("data/search/", asked, **{"x-tz-offset": "-5"})
        assert [row["name"] for row in answer["data"]] == [found]


def test_large_offsets_in_days_can_be_refused(close: Close) -> None:
    close.control("POST", "behaviour", {"largest_days_offset": 60})

    refused = close.refused(where("date_created", "moment_range", before=_ago(days=61)))

    assert "60" in str(refused)


def test_digits_below_the_millisecond_are_refused_unless_the_switch_says_otherwise(close: Close) -> None:
    condition = where("date_created", "moment_range", before=utc("2024-01-01T00:00:00.123456+00:00"))

    assert "Could not parse datetime" in str(close.refused(condition))
    close.control("POST", "behaviour", {"fixed_utc_microseconds": "accepted"})
    assert close.names(condition) == []


def test_related_objects_and_their_negation(close: Close) -> None:
    won = {"name": "won", "opportunities": [{"status_type": "won"}, {"status_type": "active"}]}
    close.load(won, {"name": "lost", "opportunities": [{"status_type": "lost"}]}, {"name": "none"})
    is_won = where(field("status_type", "opportunity"), "term", values=["won"])

    assert close.names(related("opportunity", is_won)) == ["won"]
    assert close.names(related("opportunity", is_won, negate=True)) == ["lost", "none"]
    assert close.names(related("opportunity", {**is_won, "negate": True})) == ["won", "lost"]
    assert close.names(related("opportunity", ANY, negate=True)) == ["none"]


def test_relations_nest(close: Close) -> None:
    """A lead without any way to reach it: no contact that has an e-mail address or a phone number."""
    close.load(
        {"name": "mail", "contacts": [{"name": "A"}, {"name": "B", "emails": [{"email": "b@x.example"}]}]},
        {"name": "phone", "contacts": [{"phones": [{"phone": "+14155550100"}]}]},
        {"name": "mute", "contacts": [{"name": "C"}]},
        {"name": "empty"},
    )
    reachable = either(related("contact_email", ANY, "contact"), related("contact_phone", ANY, "contact"))

    assert close.names(related("contact", reachable, negate=True)) == ["mute", "empty"]
    address = where(field("email", "contact_email"), "text", mode="full_words", value="b@x.example")
    assert close.names(related("contact", related("contact_email", address, "contact"))) == ["mail"]


def test_activities_sequences_and_tasks(close: Close) -> None:
    close.load(
        {"name": "called", "activities": [{"_type": "Call", "direction": "inbound", "activity_at": "2024-01-01"}]},
        {"name": "meets", "activities": [{"_type": "Meeting", "starts_at": "2999-01-01T00:00:00Z"}]},
        {"name": "met", "activities": [{"_type": "Meeting", "starts_at": "2020-01-01T00:00:00Z"}]},
        {"name": "welcomed", "sequence_subscriptions": [{"status": "active"}]},
        {"name": "busy", "tasks": [{"text": "call"}, {"text": "done", "is_complete": True}]},
    )
    incoming = where(field("direction", "activity.call"), "term", values=["incoming"])
    active = where(field("status", "sequence_subscription"), "term", values=["active"])

    assert close.names(related("activity.call", incoming)) == ["called"]
    assert close.names(related("activity.sms", ANY)) == []
    assert close.names(where("num_upcoming_meetings", "number_range", gt=0)) == ["meets"]
    assert close.names(related("sequence_subscription", active)) == ["welcomed"]
    assert close.names(where("num_incomplete_tasks", "number_range", gte=1)) == ["busy"]
    assert close.names(where("last_communication_date", "exists")) == ["called", "met"]


def test_custom_fields_of_every_type(close: Close) -> None:
    ids: dict[str, str] = {}
    for kind in ("text", "number", "date", "choices", "user"):
        many = kind == "choices"
        body = {
            "name": f"my {kind}",
            "type": kind,
            "accepts_multiple_values": many,
            "choices": ["x", "y"] if many else [],
        }
        ids[kind] = close.post("custom_field/lead/", body)["id"]
    me = close.get("me/")["id"]
    values: dict[str, Any] = {
        "text": "Old trade fair",
        "number": 7,
        "date": "2024-05-01",
        "choices": ["x", "y"],
        "user": me,
    }
    close.load({"name": "set", **{f"custom.{ids[kind]}": value for kind, value in values.items()}}, {"name": "unset"})
    conditions: dict[str, dict[str, Any]] = {
        "text": {"condition": "text", "mode": "full_words", "value": "FAIR"},
        "number": {"condition": "number_range", "gte": 7, "lt": 8},
        "date": {"condition": "moment_range", "before": utc("2024-05-02T00:00:00Z")},
        "choices": {"condition": "term", "values": ["y", "z"]},
        "user": {"condition": "current_user"},
    }

    for kind, condition in conditions.items():
        assert close.names(where(custom(ids[kind]), **condition)) == ["set"], kind
        assert close.names(where(custom(ids[kind]), negate=True, **condition)) == ["unset"], kind
        assert close.names(where(custom(ids[kind]), "exists", negate=True)) == ["unset"], kind


def test_smart_views_nest_by_id(close: Close) -> None:
    close.load({"name": "a"}, {"name": "b"})
    wrapper: dict[str, Any] = {"query": both(LEAD, where("name", "text", value="a")), "results_limit": None, "sort": []}
    view = close.post("saved_search/", {"name": "the a", "s_query": wrapper})

    assert close.names({"type": "saved_search", "saved_search_id": view["id"]}) == ["a"]
    assert close.names({"type": "saved_search", "saved_search_id": view["id"], "negate": True}) == ["b"]
    legacy = next(each for each in close.get("saved_search/")["data"] if each["s_query"] is None)
    refused = close.refused({"type": "saved_search", "saved_search_id": legacy["id"]})
    assert "Object does not exist." in str(refused)


def test_other_objects_can_be_searched_for(close: Close) -> None:
    lead = close.load({"name": "X", "contacts": [{"name": "Ann"}], "opportunities": [{"value": 100}]})[0]

    for object_type in ("contact", "opportunity"):
        found = close.post("data/search/", {"query": {"type": "object_type", "object_type": object_type}})
        assert [(row["__object_type"], row["lead_id"]) for row in found["data"]] == [(object_type, lead)]


@pytest.mark.parametrize(
    ("node", "place"),
    [
        ({"type": "nonsense"}, {"type": "Not a valid choice."}),
        ({}, {"type": "This field is required."}),
        (where("nope", "exists"), {"field": {"field_name": "Not a valid choice."}}),
        (where(custom("cf_nope"), "exists"), {"field": {"custom_field_id": "Object does not exist."}}),
        (where("name", "nope"), {"condition": {"type": "Not a valid choice."}}),
        (where("name", "term", values=[]), {"condition": {"values": "List must not be empty."}}),
        (where("name", "term", values="x"), {"condition": {"values": "Value must be of list type."}}),
        (where("num_calls", "number_range", gt="1"), {"condition": {"gt": "Value must be of float type."}}),
        (
            where("date_created", "moment_range", before=utc("yesterday")),
            {"condition": {"before": {"value": "Could not parse datetime"}}},
        ),
        (both(), {"queries": "List must not be empty."}),
        (related("planet", ANY), {"related_object_type": "Not a valid choice."}),
        (where(field("email", "contact_email"), "exists"), {"field": {"object_type": "Expected lead."}}),
        ({"type": "match_all", "negate": "yes"}, {"negate": "Value must be of bool type."}),
        ({"type": "saved_search", "saved_search_id": "save_nope"}, {"saved_search_id": "Object does not exist."}),
    ],
)
def test_what_is_wrong_is_said_at_its_place(close: Close, node: dict[str, Any], place: dict[str, Any]) -> None:
    assert close.refused(node) == {"query": {"queries": {"errors": {"1": place}}}}


def test_status_history_is_refused_rather_than_guessed_at(close: Close) -> None:
    node = {"type": "in_status", "status_ids": ["stat_1"]}

    assert "The sandbox doesn't know in_status" in str(close.refused(node))
    assert "The sandbox doesn't know in_status" in str(close.refused(related("opportunity", node)))


@pytest.mark.parametrize("condition", ["number_range", "moment_range", "reference", "current_user", "boolean"])
def test_a_condition_must_fit_its_field(close: Close, condition: str) -> None:
    values: dict[str, Any] = {
        "gt": 1,
        "before": utc("2024-01-01T00:00:00Z"),
        "reference_type": "user",
        "object_ids": ["x"],
        "value": True,
    }

    assert "can't be used" in str(close.refused(where("name", condition, **values)))


def test_a_query_nested_beyond_reason_is_refused(close: Close) -> None:
    node = ANY
    for _ in range(200):
        node = both(node)

    assert "too deeply" in str(close.refused(node))


def test_long_groups_are_no_trouble(close: Close) -> None:
    ids = close.load(*({"name": f"lead {number}"} for number in range(5)))
    others = [{"type": "id", "value": f"lead_{number}"} for number in range(1500)]
    names = [where("name", "text", value=f"x{number}") for number in range(1500)]

    assert close.names(either(*others, {"type": "id", "value": ids[3]})) == ["lead 3"]
    assert len(close.names(either(*others, {"type": "id", "value": ids[3]}, negate=True))) == 4
    assert close.names(either(*names, where("name", "text", value="4"))) == ["lead 4"]
    assert len(close.names(either(*names, negate=True))) == 5


@pytest.mark.parametrize(
    "node",
    [
        where("num_calls", "number_range", gt=10**30),
        where("num_calls", "number_range", gt=float("1e300")),
        where("name", "text", value="half a \ud800 character"),
        where("name", "term", values=["\ud800"]),
        where(
            "date_created", "moment_range", before={"type": "fixed_local_date", "value": "9999-12-31", "which": "end"}
        ),
        where("date_created", "moment_range", before=utc("0001-01-01T00:00:00+14:00")),
        where("date_created", "moment_range", before=_ago("end", years=10**6)),
        {"type": ["and"]},
        {"type": "and", "queries": {}},
        {"type": "and", "queries": [None]},
    ],
)
def test_values_beyond_all_bounds_are_refused_not_a_crash(close: Close, node: dict[str, Any]) -> None:
    body = json.dumps({"query": both(LEAD, node)})
    answer = close.http.post("data/search/", content=body, headers={"content-type": "application/json"})

    assert (answer.status_code, list(answer.json())) == (400, ["field-errors", "errors"])
