"""Compiles the conditions of Advanced Filtering to SQL; the result is null for an empty field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from operator import ge, gt, le, lt
from typing import Any

from dateutil.relativedelta import relativedelta
from sqlalchemy import ColumnElement, and_, false, func, or_

from deployments.sandbox.database.full_text import spaced, words
from deployments.sandbox.query.fields import Expression, Kind
from deployments.sandbox.switches.behaviour import Behaviour
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import REQUIRED, Invalid
from deployments.sandbox.wire.moments import microseconds, parse_moment, start_of_day

REFERENCE_TYPES = ("user", "user_or_group", "status.lead", "status.opportunity", "sequence", "contact", "custom_object")
DIRECTIONS = {"past": -1, "future": 1}
UNITS = ("years", "months", "weeks", "days", "hours", "minutes", "seconds")
PERIODS = {
    "today": ("days", 0),
    "yesterday": ("days", 1),
    "this-week": ("weeks", 0),
    "last-week": ("weeks", 1),
    "this-month": ("months", 0),
    "last-month": ("months", 1),
}
CURRENT_USER = "CURRENT_USER"
COMPARISONS: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


@dataclass(frozen=True, kw_only=True)
class QueryContext:
    """What `now`, local days and the current user mean in a query."""

    now: datetime
    offset: timedelta
    user_id: str
    behaviour: Behaviour


class FieldValue:
    """A field in a query: its kind, value and words, and how it is compared with several values."""

    def __init__(
        self,
        kind: Kind,
        value: Expression,
        word_list: Expression | None = None,
        is_one_of: Callable[[list[str]], ColumnElement[bool]] | None = None,
    ) -> None:
        self.kind: Kind = kind
        self.value = value
        self.words = func.spaced(value) if word_list is None else word_list
        self.is_one_of = is_one_of or value.in_


def condition(body: Body, field: FieldValue, context: QueryContext) -> ColumnElement[bool]:
    """Compile one condition on one field. Raises Invalid (a 400)."""
    kind = body.required_text("type")
    if kind not in CONDITIONS:
        raise body.invalid("type", "Not a valid choice.")
    kinds, compile_condition = CONDITIONS[kind]
    if kinds and field.kind not in kinds:
        raise body.invalid("type", f"The condition {kind} can't be used with a field of this type.")
    return compile_condition(body, field, context)


def _boolean(body: Body, field: FieldValue, _: QueryContext) -> ColumnElement[bool]:
    if body.data.get("value") is None:
        raise body.invalid("value", REQUIRED)
    return field.value == int(body.boolean("value", True))


def _exists(_: Body, field: FieldValue, __: QueryContext) -> ColumnElement[bool]:
    if field.kind == "text":
        return and_(field.value.is_not(None), field.value != "")
    return field.value.is_not(None)


def _current_user(_: Body, field: FieldValue, context: QueryContext) -> ColumnElement[bool]:
    return field.is_one_of([context.user_id])


def _text(body: Body, field: FieldValue, _: QueryContext) -> ColumnElement[bool]:
    value = body.required_text("value")
    mode = body.choice("mode", ("full_words", "phrase", "beginning_of_words", "exact_value"), "full_words")
    if mode == "exact_value":
        return func.lowered(field.value) == value.lower()
    return and_(field.value.is_not(None), has_words(field.words, value, mode))


def has_words(haystack: Expression, value: str, mode: str) -> ColumnElement[bool]:
    """Whether *haystack*, as `spaced` returns it, has the words of *value*; false for a value without words."""
    needles = {
        "full_words": [f" {word} " for word in words(value)],
        "beginning_of_words": [f" {word}" for word in words(value)],
        "phrase": [spaced(value)] if words(value) else [],
    }[mode]
    if not needles:
        return false()
    return and_(*(func.instr(haystack, needle) > 0 for needle in needles))


def _term(body: Body, field: FieldValue, _: QueryContext) -> ColumnElement[bool]:
    return field.is_one_of(required_texts(body, "values"))


def required_texts(body: Body, key: str) -> list[str]:
    """A list of strings that must not be empty."""
    values = body.texts(key)
    if not values:
        raise body.invalid(key, "List must not be empty." if body.data.get(key) is not None else REQUIRED)
    return values


def _reference(body: Body, field: FieldValue, context: QueryContext) -> ColumnElement[bool]:
    kind = body.required_text("reference_type")
    if kind not in REFERENCE_TYPES:
        raise body.invalid("reference_type", "Not a valid choice.")
    expected = {"user_or_group": "user"}.get(kind, kind)
    if field.kind != expected and (field.kind != "term" or expected in ("user", "status.lead", "status.opportunity")):
        raise body.invalid("reference_type", "The reference type doesn't fit the field.")
    ids = required_texts(body, "object_ids")
    return field.is_one_of([context.user_id if each == CURRENT_USER else each for each in ids])


def _number_range(body: Body, field: FieldValue, _: QueryContext) -> ColumnElement[bool]:
    bounds = [(compare, body.number(key)) for key, compare in COMPARISONS.items()]
    clauses = [compare(field.value, bound) for compare, bound in bounds if bound is not None]
    if not clauses:
        raise Invalid("At least one of gt, gte, lt, lte is required.", body.path)
    return and_(*clauses)


def _moment_range(body: Body, field: FieldValue, context: QueryContext) -> ColumnElement[bool]:
    after, before = body.object("on_or_after"), body.object("before")
    bounds = (each and moment(each, context, field.kind) for each in (after, before))
    return and_(*_between(body, field.value, *bounds))


def _local_time(body: Body, field: FieldValue, context: QueryContext) -> ColumnElement[bool]:
    clock = func.local_time(field.value, microseconds(context.now))
    after, before = body.text("on_or_after"), body.text("before")
    clauses = _between(body, clock, after, before)
    return and_(*clauses) if after is None or before is None or after <= before else or_(*clauses)


def _between(body: Body, value: Expression, after: Any, before: Any) -> list[ColumnElement[bool]]:
    """That *value* is not before *after*, and before *before*, as far as they are given."""
    if after is None and before is None:
        raise Invalid("At least one of on_or_after, before is required.", body.path)
    return [*([value >= after] if after is not None else []), *([value < before] if before is not None else [])]


def moment(body: Body, context: QueryContext, kind: Kind) -> datetime:
    """The instant that a moment node means to a field of this *kind*. A date's own is midnight UTC."""
    found = _moment(body, context)
    if isinstance(found, datetime):
        return found
    as_dates = kind == "date" and context.behaviour.days_on_dates == "days"
    try:
        return start_of_day(found, timedelta(0) if as_dates else context.offset)
    except OverflowError:
        raise body.invalid("value", "Could not parse date") from None


def _moment(body: Body, context: QueryContext) -> datetime | date:
    """An instant, or the local day at whose beginning the moment is."""
    kind = body.required_text("type")
    if kind not in MOMENTS:
        raise body.invalid("type", "Not a valid choice.")
    return MOMENTS[kind](body, context)


def _now(_: Body, context: QueryContext) -> datetime:
    return context.now


def _fixed_local_date(body: Body, _: QueryContext) -> date:
    text = body.required_text("value")
    end = body.choice("which", ("start", "end"), "start") == "end"
    try:
        return date.fromisoformat(text) + timedelta(days=1 if end else 0)
    except (ValueError, OverflowError):
        raise body.invalid("value", "Could not parse date") from None


def _period(body: Body, context: QueryContext) -> date:
    """The start of a day, week or month near now, or of the one after it."""
    name = body.required_text("range")
    if name not in PERIODS:
        raise body.invalid("range", "Not a valid choice.")
    unit, back = PERIODS[name]
    end = body.choice("which", ("start", "end"), "start") == "end"
    today = (context.now + context.offset).date()
    before_today = {
        "days": 0,
        "weeks": (today.weekday() + (context.behaviour.week_starts_on == "sunday")) % 7,
        "months": today.day - 1,
    }
    return today - timedelta(days=before_today[unit]) + _delta({unit: (1 if end else 0) - back})


def _fixed_utc(body: Body, context: QueryContext) -> datetime:
    text = body.required_text("value")
    try:
        value = parse_moment(text)
    except ValueError:
        raise body.invalid("value", "Could not parse datetime") from None
    digits = text.partition(".")[2].partition("+")[0].partition("-")[0].removesuffix("Z")
    if len(digits) > 3 and context.behaviour.fixed_utc_microseconds == "refused":
        raise body.invalid("value", "Could not parse datetime")
    return value


def _offset(body: Body, context: QueryContext) -> datetime | date:
    base = _moment(body.required_object("moment"), context)
    amounts = body.required_object("offset")
    unknown = sorted(set(amounts.data) - set(UNITS))
    if unknown:
        raise amounts.invalid(unknown[0], "Unknown unit.")
    units = {unit: amounts.integer(unit, minimum=0) or 0 for unit in UNITS}
    largest = context.behaviour.largest_days_offset
    if largest is not None and units["days"] > largest:
        raise amounts.invalid("days", f"The value must not be larger than {largest}.")
    sign = DIRECTIONS.get(body.required_text("direction"))
    if sign is None:
        raise body.invalid("direction", "Not a valid choice.")
    which = body.choice("which_day_end", ("start", "end"), "")
    days = {unit: units[unit] * sign for unit in UNITS[:4]}
    clock = timedelta(hours=units["hours"], minutes=units["minutes"], seconds=units["seconds"]) * sign
    try:
        local = (base + context.offset if isinstance(base, datetime) else base) + _delta(days)
        if clock or (isinstance(local, datetime) and not which):  # see the README
            midnight = local if isinstance(local, datetime) else start_of_day(local, timedelta(0))
            return midnight + clock - context.offset
        day = local.date() if isinstance(local, datetime) else local
        return day + timedelta(days=1 if which == "end" else 0)
    except (OverflowError, ValueError):
        raise Invalid("The offset is too large.", body.path) from None


def _delta(units: dict[str, int]) -> relativedelta:
    amounts: dict[str, Any] = {**units}
    return relativedelta(**amounts)


CONDITIONS: dict[str, tuple[tuple[Kind, ...], Callable[[Body, FieldValue, QueryContext], ColumnElement[bool]]]] = {
    "boolean": (("boolean",), _boolean),
    "exists": ((), _exists),
    "current_user": (("user",), _current_user),
    "text": (("text", "term"), _text),
    "term": (("text", "term", "user", "status.lead", "status.opportunity"), _term),
    "reference": (("term", "user", "status.lead", "status.opportunity"), _reference),
    "number_range": (("number",), _number_range),
    "moment_range": (("moment", "date"), _moment_range),
    "local_time": (("term",), _local_time),
}
MOMENTS: dict[str, Callable[[Body, QueryContext], datetime | date]] = {
    "now": _now,
    "fixed_local_date": _fixed_local_date,
    "fixed_utc": _fixed_utc,
    "start_end_of_predefined_relative_period": _period,
    "offset": _offset,
}
