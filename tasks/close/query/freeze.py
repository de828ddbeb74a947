"""Moments that depend on when they are read become the instants, or the days, that they mean at the cut-off.

A local day on a field of instants is the instant at which it begins where the user is. A field of dates without
a time knows no time zone: there it stays a day, since as an instant it would select the day before or after.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, cast
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from tasks.close.problems import quoted
from tasks.close.query.conditions import (
    CustomFieldRef,
    FieldRef,
    FixedLocalDate,
    FixedUtc,
    Moment,
    MomentRange,
    Now,
    Offset,
    Part,
    PredefinedPeriod,
    RegularField,
)
from tasks.close.query.nodes import FieldCondition, InStatus, Query, to_json
from tasks.close.query.rewrite import UnusableQuery, instant_of, rewritten
from tasks.close.request import JSON

FieldTypes = Mapping[str, str]
"""The types of custom fields, such as ``date``, by their ids."""
INSTANTS = re.compile(
    r"date_(created|updated|sent|lost)|activity_at|starts_at|ends_at|last_email_opened|primary_opportunity_(created|updated)"
    r"|(first|last)_(communication|activity|note|(lead|opportunity)_status_change|((incoming|outgoing)_)?(call|email|sms))_date"
)
"""The regular fields that hold instants. What a task's date holds depends on the task."""
DATES = {("opportunity", "date_won"), ("lead", "primary_opportunity_date_won")}
WRITE = (
    'write an instant there, as {"type": "fixed_utc", "value": "2026-01-31T00:00:00.000Z"}, or a distance without '
    "which_day_end"
)


def freeze(query: Query, as_of: datetime, zone: ZoneInfo, types: FieldTypes | None) -> Query:
    """Return *query* with every relative moment replaced by the instant or day it means at *as_of*.

    Days begin in *zone*, the time zone of the user who reads the query in Close, and weeks on Monday. Months are
    calendar months (31 March less one month is 28 February). Close's ``which_day_end`` moves to the start or the end
    of the day, except for distances with hours, minutes or seconds; there Close doesn't document it, and in use such
    distances are exact. Instants are cut to milliseconds, which is as precise as Close is.

    *types* has the types of the custom fields that are compared with days; None before Close has been asked.

    Raises `UnusableQuery` for dates and instants that can't be read, for those outside the calendar, and for a day on a
    field of which it isn't known whether it holds dates.
    """

    def change(part: Part) -> Part:
        match part:
            case FieldCondition(field=field, condition=MomentRange() as range_):
                return part.model_copy(update={"condition": _bounded(range_, field)})
            case InStatus():
                return _bounded(part, None)
            case _:
                return part

    def _bounded(part: MomentRange | InStatus, field: FieldRef | None) -> Part:
        bounds = {name: bound for name in ("on_or_after", "before") if (bound := getattr(part, name)) is not None}
        return part.model_copy(update={name: _frozen(bound, field) for name, bound in bounds.items()})

    def _frozen(moment: Moment, field: FieldRef | None) -> Moment:
        try:
            found = _meaning(moment, as_of, zone)
            if isinstance(found, datetime):
                return _cut(moment) if isinstance(moment, FixedUtc) else FixedUtc.at(found)
            if field is None or _holds(field, types) == "instants":
                return FixedUtc.at(_midnight(found, zone))
        except OverflowError:
            raise UnusableQuery(f"the moment {to_json(moment)} is outside the calendar") from None
        return moment if isinstance(moment, FixedLocalDate) else FixedLocalDate(value=found.isoformat(), which="start")

    return rewritten(query, change)  # pyright: ignore[reportReturnType]


def _cut(moment: FixedUtc) -> FixedUtc:
    """*moment* without digits below the millisecond, with which it has been refused; as it is if it has none."""
    if re.search(r"[.,]\d{4}", moment.value) is None:
        return moment
    # Rounded up: Close has nothing between two milliseconds, so both bounds select what they did.
    return FixedUtc.at(instant_of(moment) + timedelta(microseconds=999))


# --- what a moment means ----------------------------------------------------------------------------------------------


def _meaning(moment: Moment, as_of: datetime, zone: ZoneInfo) -> datetime | date:
    """The instant that *moment* is; or the local day at whose beginning it is."""
    extra = {**(moment.model_extra or {}), **((moment.offset.model_extra or {}) if isinstance(moment, Offset) else {})}
    if extra and not isinstance(moment, FixedUtc):
        raise UnusableQuery(f"a moment in it has {', '.join(extra)}, unknown to us, so it can't be frozen; {WRITE}")
    match moment:
        case Now():
            return as_of
        case FixedUtc():
            return _instant(moment)
        case FixedLocalDate():
            return _day(moment.value) + timedelta(days=moment.which == "end")
        case PredefinedPeriod():
            return _edge(moment, as_of.astimezone(zone).date())
        case Offset():
            return _shifted(moment, _meaning(moment.moment, as_of, zone), zone)
        case _:
            raise UnusableQuery(f"the moment {quoted(moment.type)} can't be frozen; {WRITE}")


def _instant(moment: FixedUtc) -> datetime:
    try:
        return instant_of(moment)
    except ValueError:
        raise UnusableQuery(f"{quoted(moment.value)} is not an instant such as 2026-01-31T00:00:00.000Z") from None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UnusableQuery(f"{quoted(text)} is not a date such as 2026-01-31") from None


def _edge(period: PredefinedPeriod, today: date) -> date:
    """The day with which *period* begins or, for its end, the day after it."""
    monday, first = today - timedelta(days=today.weekday()), today.replace(day=1)
    day, week, month = timedelta(days=1), timedelta(weeks=1), relativedelta(months=1)
    edges: dict[str, tuple[date, date]] = {
        "today": (today, today + day),
        "yesterday": (today - day, today),
        "this-week": (monday, monday + week),
        "last-week": (monday - week, monday),
        "this-month": (first, first + month),
        "last-month": (first - month, first),
    }
    if period.range not in edges:
        raise UnusableQuery(f"the period {quoted(period.range)} is none of those we know ({', '.join(edges)}); {WRITE}")
    start, end = edges[period.range]
    return start if period.which == "start" else end


def _shifted(offset: Offset, start: datetime | date, zone: ZoneInfo) -> datetime | date:
    span = offset.offset
    sign = -1 if offset.direction == "past" else 1
    days = relativedelta(years=span.years, months=span.months, weeks=span.weeks, days=span.days)
    clock = timedelta(hours=span.hours, minutes=span.minutes, seconds=span.seconds)
    try:
        moved = (start.astimezone(zone) if isinstance(start, datetime) else start) + days * sign
    except ValueError:  # what relativedelta raises for years before 1 and after 9999
        raise OverflowError from None
    if clock:
        return (moved.astimezone(UTC) if isinstance(moved, datetime) else _midnight(moved, zone)) + clock * sign
    if offset.which_day_end is None:
        return moved
    day = moved.date() if isinstance(moved, datetime) else moved
    return day + timedelta(days=offset.which_day_end == "end")


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which *day* begins in *zone*."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


# --- what a field holds -----------------------------------------------------------------------------------------------


def _holds(field: FieldRef, types: FieldTypes | None) -> Literal["instants", "dates"]:
    """What *field* holds. Raises `UnusableQuery` where that isn't known."""
    match field:
        case CustomFieldRef(custom_field_id=name):
            kind = "datetime" if types is None else types.get(name)
            known = {"datetime": "instants", "date": "dates"}.get(kind or "")
            why = f"is of the type {kind}" if kind else "is none that Close lists for leads, contacts or opportunities"
        case RegularField(object_type=owner, field_name=name):
            instants = INSTANTS.fullmatch(name) or (owner, name) == ("activity.email", "date")
            known = "dates" if (owner, name) in DATES else "instants" if instants else None
            why = "may hold dates or instants"
        case _:
            name, known, why = field.type, None, "is unknown to us"
    if known is None:
        raise UnusableQuery(f"it compares {name} with a day, but that field {why}; {WRITE}")
    return cast("Literal['instants', 'dates']", known)


def owners_of_days(document: object) -> Iterator[str]:
    """Yield the object types whose custom fields *document*, with queries as JSON, compares with days.

    `freeze` needs the types of these fields. Without recursion: *document* may be nested deeper than we read queries.
    """
    left: list[tuple[object, str]] = [(document, "lead")]
    while left:
        value, owner = left.pop()
        match value:
            case {"field": {"type": "custom_field"}, "condition": {"type": "moment_range"}}:
                bounds = cast("dict[str, JSON]", value)["condition"].values()
                if any(isinstance(bound, Mapping) and not _is_absolute(cast("JSON", bound)) for bound in bounds):
                    yield owner
            case Mapping():
                node = cast("JSON", value)
                related = str(node.get("related_object_type", owner))
                left += [(inner, related if key == "related_query" else owner) for key, inner in node.items()]
            case list() | tuple():
                left += [(inner, owner) for inner in cast("list[object]", value)]
            case _:
                pass


def _is_absolute(moment: JSON) -> bool:
    """Whether *moment* is an instant on every field."""
    return moment.get("type") in ("now", "fixed_utc")
