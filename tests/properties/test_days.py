"""Days and instants in pasted queries: what we make of them selects the same leads as Close's own reading.

The sandbox reads the paste as it is, in the time zone of the user who asks. We send it with its moments frozen, without
a time zone.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import HealthCheck, Phase, assume, event, given, settings
from hypothesis import strategies as st
from support.close_account import ADMIN, CloseAccount

from tasks.close.query.freeze import freeze
from tasks.close.query.nodes import to_json
from tasks.close.query.paste import unwrap

Json = dict[str, Any]
ZONES = (  # without changes of the clocks: a header of so many hours can't express these
    *("UTC", "Etc/GMT+12", "Etc/GMT+8", "Etc/GMT+5", "America/Caracas", "Asia/Kolkata", "Asia/Kathmandu"),
    *("Asia/Tokyo", "Pacific/Kiritimati"),
)
PERIODS = ("today", "yesterday", "this-week", "last-week", "this-month", "last-month")
UNITS = ("years", "months", "weeks", "days", "hours", "minutes", "seconds")
HOW = settings(max_examples=30, phases=[Phase.explicit, Phase.generate], suppress_health_check=[HealthCheck.too_slow])

# --- moments, as texts that depend on today ---------------------------------------------------------------------------

edges = st.sampled_from(["start", "end"])
days_ahead = st.integers(-70, 40)


def _day(ahead: int, which: str) -> Json:
    return {"type": "fixed_local_date", "ahead": ahead, "which": which}


def _period(range_: str, which: str) -> Json:
    return {"type": "start_end_of_predefined_relative_period", "range": range_, "which": which}


def _offset(direction: str, moment: Json, units: dict[str, int], which: str | None) -> Json:
    every = {**dict.fromkeys(UNITS, 0), **units}
    return {"type": "offset", "direction": direction, "moment": moment, "offset": every, "which_day_end": which}


def _instant(ahead: int, digits: str) -> Json:
    return {"type": "fixed_utc", "ahead": ahead, "digits": digits}


_now = st.just({"type": "now"})
_days = st.builds(_day, days_ahead, edges)
_periods = st.builds(_period, st.sampled_from(PERIODS), edges)
_instants = st.builds(_instant, days_ahead, st.sampled_from(["Z", ".000Z", ".000000+00:00", ".000001+00:00"]))
_units = st.sampled_from([{}, {"days": 1}, {"weeks": 1}, {"months": 1}, {"months": 1, "days": 1}, {"hours": 30}])
_offsets = st.builds(_offset, st.sampled_from(["past", "future"]), _now | _days | _periods, _units, st.none() | edges)
moments: st.SearchStrategy[Json] = st.one_of(_days, _periods, _offsets, _instants, _now)
ranges = st.fixed_dictionaries({}, optional={"on_or_after": moments, "before": moments}).filter(bool)
FIELDS = ("date", "datetime", "created", "won")


def _written(moment: Json, today: date) -> Json:
    """*moment* as it would be pasted today."""
    if "moment" in moment:
        return {**moment, "moment": _written(moment["moment"], today)}
    if "ahead" not in moment:
        return moment
    day = (today + timedelta(days=moment["ahead"])).isoformat()
    value = day if moment["type"] == "fixed_local_date" else f"{day}T00:00:00{moment['digits']}"
    more = {"which": moment["which"]} if "which" in moment else {}
    return {"type": moment["type"], "value": value, **more}


# --- an organisation with leads on both sides of every day ------------------------------------------------------------


class Organisation:
    """The sandbox, with a lead for each of many days, in several kinds of fields."""

    def __init__(self, account: CloseAccount) -> None:
        self._account = account
        self.ids: dict[str, str] = {}

    @property
    def types(self) -> dict[str, str]:
        """The types of the custom fields, by their ids."""
        return {field_id: kind for kind, field_id in self.ids.items()}

    def behaviour(self, **switches: Any) -> None:
        self._account.behaviour(fixed_utc_microseconds="accepted", **switches)

    def holds(self, days: list[date], zone: ZoneInfo) -> None:
        """For each day a lead at its beginning in *zone*, one just before, and one at noon."""
        httpx.post(f"{self._account.base}/sandbox/reset", json={"leads": 0}).raise_for_status()
        self.behaviour()
        self.ids = {
            kind: self._account.post("/custom_field/lead/", name=kind, type=kind)["id"] for kind in ("date", "datetime")
        }
        self._account.add(*(self._lead(day, zone, seconds) for day in days for seconds in (-0.001, 0, 43_200)))

    def _lead(self, day: date, zone: ZoneInfo, seconds: float) -> Json:
        instant = datetime.combine(day, time(), zone).astimezone(UTC) + timedelta(seconds=seconds)
        return {
            "name": "A lead",
            "date_created": instant.isoformat(),
            f"custom.{self.ids['date']}": day.isoformat(),
            f"custom.{self.ids['datetime']}": instant.isoformat(),
            "opportunities": [{"status_type": "won", "date_won": day.isoformat()}],
        }

    def query(self, field: str, bounds: Json) -> Json:
        condition = {"type": "moment_range", **bounds}
        if field in self.ids:
            custom = {"type": "custom_field", "custom_field_id": self.ids[field]}
            return {"type": "field_condition", "field": custom, "condition": condition}
        owner, name = {"created": ("lead", "date_created"), "won": ("opportunity", "date_won")}[field]
        regular = {"type": "regular_field", "object_type": owner, "field_name": name}
        node = {"type": "field_condition", "field": regular, "condition": condition}
        if owner == "lead":
            return node
        kinds = {"this_object_type": "lead", "related_object_type": owner}
        return {"type": "has_related", **kinds, "related_query": node}

    def found(self, query: Json, hours: float | None = None) -> set[str]:
        """The leads that the sandbox finds for a user so many *hours* east of UTC."""
        answer = httpx.post(
            f"{self._account.url}data/search/",
            json={"query": query, "_limit": 200},
            headers={} if hours is None else {"x-tz-offset": str(hours)},
            auth=(ADMIN, ""),
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["cursor"] is None
        return {row["id"] for row in answer.json()["data"]}


@pytest.fixture(scope="module")
def organisation(running_sandbox: CloseAccount) -> Iterator[Organisation]:
    running_sandbox.reset()
    yield Organisation(running_sandbox)
    running_sandbox.reset()


def _near(today: date, bounds: Json) -> list[date]:
    """Days about which *bounds* may decide."""
    first, monday = today.replace(day=1), today - timedelta(days=today.weekday())
    edges_ = [today, monday, monday - timedelta(weeks=1), monday + timedelta(weeks=1), first]
    edges_ += [(first - timedelta(days=1)).replace(day=1), (first + timedelta(days=31)).replace(day=1)]
    for bound in bounds.values():
        edges_ += [
            today + timedelta(days=each["ahead"]) for each in (bound, bound.get("moment", {})) if "ahead" in each
        ]
    return sorted({edge + timedelta(days=near) for edge in edges_ for near in (-2, -1, 0, 1, 2)})


@HOW
@given(zone=st.sampled_from(ZONES), field=st.sampled_from(FIELDS), bounds=ranges)
def test_our_reading_of_a_paste_selects_the_leads_that_the_sandbox_selects(
    organisation: Organisation, zone: str, field: str, bounds: Json
):
    """For any date, time zone and kind of field; what we send means the same however Close reads days and weeks."""
    as_of = datetime.now(UTC)
    local = as_of.astimezone(ZoneInfo(zone))
    assume(local.hour != 23 or local.minute < 58)  # the day must not end between our reading and the sandbox's
    organisation.holds(_near(local.date(), bounds), ZoneInfo(zone))
    pasted = organisation.query(field, {name: _written(each, local.date()) for name, each in bounds.items()})
    ours = to_json(freeze(unwrap(pasted)[0], as_of, ZoneInfo(zone), organisation.types))
    offset = local.utcoffset()
    assert offset is not None

    theirs = organisation.found(pasted, offset / timedelta(hours=1))
    event(f"{field}: {'some' if theirs else 'none'}")

    assert organisation.found(ours) == theirs
    organisation.behaviour(days_on_dates="instants", week_starts_on="sunday")
    assert organisation.found(ours) == theirs


def test_a_day_on_a_field_of_dates_is_that_day_wherever_the_user_is(organisation: Organisation):
    """As an instant in New York, "on 1 January" found the lead of 2 January."""
    days = [date(2024, 1, 1), date(2024, 1, 2)]
    on = {
        name: {"type": "fixed_local_date", "value": "2024-01-01", "which": which}
        for name, which in (("on_or_after", "start"), ("before", "end"))
    }
    for zone in ("America/New_York", "Asia/Tokyo"):
        organisation.holds(days, ZoneInfo(zone))
        for field in ("date", "won"):
            query = freeze(
                unwrap(organisation.query(field, on))[0], datetime.now(UTC), ZoneInfo(zone), organisation.types
            )
            assert len(organisation.found(to_json(query))) == 3
