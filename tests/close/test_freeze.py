"""Moments as Close's UI writes them, and what a field of dates makes of them. See also test_rewrite.py."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tasks.close.query.freeze import freeze, owners_of_days
from tasks.close.query.nodes import parse, to_json
from tasks.close.query.rewrite import UnusableQuery

Json = dict[str, Any]
TYPES = {"cf_date": "date", "cf_datetime": "datetime", "cf_text": "text"}
THURSDAY = datetime(2026, 1, 1, 3, 30, tzinfo=UTC)
"""In Jamaica it is still Wednesday, of last month and of last year."""


def regular(name: str, owner: str = "lead") -> Json:
    return {"type": "regular_field", "object_type": owner, "field_name": name}


def custom(field_id: str) -> Json:
    return {"type": "custom_field", "custom_field_id": field_id}


def within(field: Json, **bounds: Json) -> Json:
    return {"type": "field_condition", "field": field, "condition": {"type": "moment_range", **bounds}}


def period(name: str, which: str) -> Json:
    return {"type": "start_end_of_predefined_relative_period", "range": name, "which": which}


def day(value: str, which: str = "start") -> Json:
    return {"type": "fixed_local_date", "value": value, "which": which}


def ago(which: str | None, moment: Json | None = None, **units: int) -> Json:
    moment = moment or {"type": "now"}
    return {"type": "offset", "direction": "past", "moment": moment, "offset": units, "which_day_end": which}


def utc(value: str) -> Json:
    return {"type": "fixed_utc", "value": value}


def frozen(moment: Json, field: Json, as_of: datetime = THURSDAY, zone: str = "UTC") -> Json:
    query = freeze(parse(within(field, before=moment)), as_of, ZoneInfo(zone), TYPES)
    return to_json(query)["condition"]["before"]


CREATED = regular("date_created")

PERIODS = [
    ("today", "start", "2026-01-01", "2025-12-31"),
    ("today", "end", "2026-01-02", "2026-01-01"),
    ("yesterday", "start", "2025-12-31", "2025-12-30"),
    ("yesterday", "end", "2026-01-01", "2025-12-31"),
    ("this-week", "start", "2025-12-29", "2025-12-29"),
    ("this-week", "end", "2026-01-05", "2026-01-05"),
    ("last-week", "start", "2025-12-22", "2025-12-22"),
    ("last-week", "end", "2025-12-29", "2025-12-29"),
    ("this-month", "start", "2026-01-01", "2025-12-01"),
    ("this-month", "end", "2026-02-01", "2026-01-01"),
    ("last-month", "start", "2025-12-01", "2025-11-01"),
    ("last-month", "end", "2026-01-01", "2025-12-01"),
]


@pytest.mark.parametrize(("name", "which", "in_utc", "in_jamaica"), PERIODS)
def test_a_period_of_closes_ui_is_frozen_where_the_user_is(name: str, which: str, in_utc: str, in_jamaica: str):
    """Weeks begin on Monday; the end is the beginning of what follows."""
    assert frozen(period(name, which), CREATED) == utc(f"{in_utc}T00:00:00.000Z")
    assert frozen(period(name, which), CREATED, zone="America/Jamaica") == utc(f"{in_jamaica}T05:00:00.000Z")
    assert frozen(period(name, which), custom("cf_date"), zone="America/Jamaica") == day(in_jamaica)


def test_a_week_that_begins_today_began_today():
    monday = datetime(2025, 12, 29, 12, tzinfo=UTC)

    assert frozen(period("this-week", "start"), CREATED, monday) == utc("2025-12-29T00:00:00.000Z")


def test_a_period_begins_at_midnight_also_where_the_clocks_changed():
    april = datetime(2026, 4, 15, tzinfo=UTC)

    assert frozen(period("last-month", "start"), CREATED, april, "Europe/Berlin") == utc("2026-02-28T23:00:00.000Z")
    assert frozen(period("last-month", "end"), CREATED, april, "Europe/Berlin") == utc("2026-03-31T22:00:00.000Z")


@pytest.mark.parametrize("name", ["this-quarter", "", "today "])
def test_another_period_is_refused_with_those_that_are_known(name: str):
    with pytest.raises(UnusableQuery, match=r"none of those we know \(today, .*last-month\); write an instant"):
        frozen(period(name, "start"), CREATED)


# --- fields of mere dates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", [custom("cf_date"), regular("date_won", "opportunity")])
@pytest.mark.parametrize("zone", ["America/New_York", "UTC", "Asia/Tokyo"])
def test_a_day_stays_a_day_on_a_field_of_dates(field: Json, zone: str):
    """As an instant it begins at 05:00 UTC in New York: the lead of that day would be lost, the next one found."""
    for moment in (day("2024-01-01"), day("2024-02-29", "end")):
        assert frozen(moment, field, zone=zone) == moment


@pytest.mark.parametrize(
    ("moment", "found"),
    [
        (ago("start"), day("2025-12-31")),
        (ago("end"), day("2026-01-01")),
        (ago("start", months=1), day("2025-11-30")),
        (ago("start", day("2024-03-31"), months=1), day("2024-02-29")),
        (ago(None, day("2024-03-31"), days=1), day("2024-03-30")),
        (ago(None, day("2024-03-31"), hours=1), utc("2024-03-31T03:00:00.000Z")),
        ({"type": "now"}, utc("2026-01-01T03:30:00.000Z")),
        (ago(None, months=1), utc("2025-12-01T03:30:00.000Z")),
        (utc("2025-01-01T00:00:00Z"), utc("2025-01-01T00:00:00Z")),
    ],
)
def test_what_is_a_day_becomes_a_day_and_what_is_an_instant_stays_one(moment: Json, found: Json):
    assert frozen(moment, custom("cf_date"), zone="America/New_York") == found


@pytest.mark.parametrize(
    ("field", "why"),
    [
        (regular("next_task_date"), "compares next_task_date with a day, but that field may hold dates or instants"),
        (custom("cf_text"), "compares cf_text with a day, but that field is of the type text"),
        (custom("cf_gone"), "compares cf_gone with a day, but that field is none that Close lists"),
    ],
)
@pytest.mark.parametrize("moment", [day("2024-01-01"), period("today", "start"), ago("end", days=1)])
def test_a_day_is_refused_where_it_isnt_known_what_the_field_holds(field: Json, why: str, moment: Json):
    with pytest.raises(UnusableQuery, match=f"{why}.*write an instant"):
        frozen(moment, field)
    assert frozen({"type": "now"}, field) == utc("2026-01-01T03:30:00.000Z")


def test_before_close_has_been_asked_a_custom_field_may_hold_either():
    query = freeze(parse(within(custom("cf_gone"), before=day("2024-01-01"))), THURSDAY, ZoneInfo("UTC"), None)

    assert to_json(query)["condition"]["before"] == utc("2024-01-01T00:00:00.000Z")


@pytest.mark.parametrize(
    ("query", "owners"),
    [
        (within(custom("cf_1"), before=day("2024-01-01")), {"lead"}),
        (within(custom("cf_1"), on_or_after=ago("start", days=1)), {"lead"}),
        (within(custom("cf_1"), before={"type": "now"}, on_or_after=utc("2025-01-01T00:00:00Z")), set[str]()),
        (within(regular("date_created"), before=day("2024-01-01")), set[str]()),
        (
            {
                "query": {
                    "type": "has_related",
                    "this_object_type": "lead",
                    "related_object_type": "opportunity",
                    "related_query": {
                        "type": "and",
                        "queries": [within(custom("cf_1"), before=period("today", "end"))],
                    },
                }
            },
            {"opportunity"},
        ),
    ],
)
def test_the_owners_of_custom_fields_that_are_compared_with_days_are_known(query: Json, owners: set[str]):
    assert set(owners_of_days([None, query])) == owners


def test_a_view_that_nobody_uses_may_be_nested_without_end():
    deep: Json = within(custom("cf_1"), before=day("2024-01-01"))
    for _ in range(5_000):
        deep = {"type": "and", "queries": [deep]}

    assert list(owners_of_days([deep])) == ["lead"]


# --- digits below the millisecond -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("2025-12-18T03:04:05.515000+00:00", "2025-12-18T03:04:05.515Z"),
        ("2025-12-18 03:04:05.515000+01:00", "2025-12-18T02:04:05.515Z"),
        ("2025-12-18T03:04:05.515001Z", "2025-12-18T03:04:05.516Z"),
        ("2025-12-18T03:04:05.9999999Z", "2025-12-18T03:04:06.000Z"),
        ("2025-12-18T03:04:05.515Z", "2025-12-18T03:04:05.515Z"),
        ("2025-12-18T03:04:05+00:00", "2025-12-18T03:04:05+00:00"),
    ],
)
def test_an_instant_of_close_is_written_with_milliseconds(value: str, found: str):
    """Six digits have been reported as rejected. Close has nothing between two milliseconds: the same is selected."""
    assert frozen(utc(value), CREATED) == utc(found)


def test_the_last_instant_there_is_can_not_be_rounded():
    with pytest.raises(UnusableQuery, match="outside the calendar"):
        frozen(utc("9999-12-31T23:59:59.999999Z"), CREATED)
