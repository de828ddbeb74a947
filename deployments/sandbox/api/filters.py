"""Filters of lists: what a query parameter such as `date_created__gte` asks of a row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date, datetime, timedelta
from operator import eq
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, case, false, func, select, true

from deployments.sandbox.database import schema
from deployments.sandbox.http.request import ApiRequest
from deployments.sandbox.objects.serialize_children import ACTIVITY_TYPES
from deployments.sandbox.organization import OPPORTUNITY_STATUSES
from deployments.sandbox.query.conditions import COMPARISONS
from deployments.sandbox.wire.errors import Invalid
from deployments.sandbox.wire.moments import parse_moment, start_of_day

Clause: TypeAlias = ColumnElement[bool]
Filter: TypeAlias = Callable[[ApiRequest, str], Clause]
Filters: TypeAlias = dict[str, Filter]
Column: TypeAlias = ColumnElement[Any]

NO_CHOICE = "Not a valid choice."
OPERATORS: Mapping[str, Callable[[Any, Any], Clause]] = {
    "": eq,
    **{f"__{name}": compare for name, compare in COMPARISONS.items()},
}


def clauses(request: ApiRequest, filters: Mapping[str, Filter]) -> list[Clause]:
    """The conditions that the request's parameters ask for. Raises Invalid, with the name of the parameter."""
    return [*_clauses(request, filters)]


def _clauses(request: ApiRequest, filters: Mapping[str, Filter]) -> Iterator[Clause]:
    for name, text in request.query.items():
        if name in filters:
            try:
                yield filters[name](request, text)
            except Invalid as error:
                raise error.under(name) from None


def one(column: Column, choices: Collection[str] = ()) -> Filter:
    """The value itself, which must be one of the *choices* if there are any."""

    def clause(_: ApiRequest, text: str) -> Clause:
        if "," in text:
            raise Invalid("The sandbox takes one value here.")
        return column == _chosen(text, choices)

    return clause


def some(column: Column, choices: Collection[str] = ()) -> Filter:
    """Any of several values, separated by commas."""
    return lambda _, text: column.in_([_chosen(each.strip(), choices) for each in text.split(",")])


def _chosen(text: str, choices: Collection[str]) -> str:
    if choices and text not in choices:
        raise Invalid(f"{NO_CHOICE[:-1]}: the sandbox has {', '.join(choices)}.")
    return text


def one_or_some(name: str, column: Column, choices: Collection[str] = ()) -> Filters:
    """``user_id`` and ``user_id__in``."""
    return {name: one(column, choices), f"{name}__in": some(column, choices)}


def boolean(column: Column) -> Filter:
    """True or false."""

    def clause(_: ApiRequest, text: str) -> Clause:
        if text.lower() not in ("true", "false"):
            raise Invalid("Value must be true or false.")
        return column == (text.lower() == "true")

    return clause


def instant(text: str) -> datetime:
    """The instant that a parameter means; without a time it is midnight, without a zone UTC. Raises Invalid."""
    try:
        return parse_moment(text)
    except ValueError:
        raise Invalid("Could not parse datetime") from None


def moments(name: str, column: Column, without: Collection[str] = ()) -> Filters:
    """``date_created``, ``date_created__gte`` and so on, on a column of instants."""

    def filter_with(compare: Callable[[Any, Any], Clause]) -> Filter:
        return lambda _, text: compare(column, instant(text))

    return {name + suffix: filter_with(compare) for suffix, compare in OPERATORS.items() if suffix not in without}


def days(name: str, column: Column) -> Filters:
    """``date``, ``date__gte`` and so on, on a column that shows days only."""

    def filter_with(suffix: str) -> Filter:
        def clause(_: ApiRequest, text: str) -> Clause:
            try:
                start = start_of_day(date.fromisoformat(text), timedelta(0))
                end = start + timedelta(days=1)
            except (ValueError, OverflowError):
                raise Invalid("Could not parse date: the sandbox takes a day here, such as 2026-01-31.") from None
            return {
                "": (column >= start) & (column < end),
                "__gt": column >= end,
                "__gte": column >= start,
                "__lt": column < start,
                "__lte": column < end,
            }[suffix]

        return clause

    return {name + suffix: filter_with(suffix) for suffix in OPERATORS}


def of_lead(lead_pk: Column, several: bool = False) -> Filter:
    """Rows of the lead with this id, or of any of several."""
    ids = some(schema.leads.c.id) if several else one(schema.leads.c.id)
    return lambda request, text: lead_pk.in_(select(schema.leads.c.pk).where(ids(request, text)))


def of_organization(request: ApiRequest, text: str) -> Clause:
    """Every row for the caller's organisation, which all that it sees belongs to; none for another."""
    return true() if text == request.organization.id else false()


def order(request: ApiRequest, columns: Mapping[str, Column], default: list[Column]) -> list[Column]:
    """The order that `_order_by` asks for, then the *default*. Raises Invalid."""
    wanted = request.query.get("_order_by")
    if wanted is None:
        return default
    column = columns.get(wanted.removeprefix("-"))
    if column is None:
        raise Invalid(f"The sandbox sorts by {', '.join(columns)} only.", ("_order_by",))
    return [(column.desc() if wanted.startswith("-") else column.asc()).nulls_last(), *default]


def _activity_type(_: ApiRequest, text: str) -> Clause:
    """Activities of any of several types, such as ``Call,Note``."""
    kinds = {name: kind for kind, name in ACTIVITY_TYPES.items()}
    return schema.activities.c.type.in_([kinds[_chosen(each.strip(), kinds)] for each in text.split(",")])


def _task_type(request: ApiRequest, text: str) -> Clause:
    return true() if text == "all" else one(schema.tasks.c.type)(request, text)


def _opportunity_user(ask: Callable[[Column], Filter]) -> Filter:
    """A filter of whom an opportunity shows: its user, else its author, else the organisation's first."""
    columns = schema.opportunities.c

    def clause(request: ApiRequest, text: str) -> Clause:
        return ask(func.coalesce(columns.user_id, columns.created_by, request.organization.users[0].id))(request, text)

    return clause


contacts, opportunities, tasks, activities = schema.contacts, schema.opportunities, schema.tasks, schema.activities
_LABELS = {id_: label for id_, (label, _) in OPPORTUNITY_STATUSES.items()}

OF_CONTACTS: Filters = {"lead_id": of_lead(contacts.c.lead_pk)}
OF_OPPORTUNITIES: Filters = {
    "lead_id": of_lead(opportunities.c.lead_pk),
    "organization_id": of_organization,
    "user_id": _opportunity_user(one),
    "user_id__in": _opportunity_user(some),
    **one_or_some("status_id", opportunities.c.status_id),
    **one_or_some("status_type", opportunities.c.status_type, ("active", "won", "lost")),
    **one_or_some("status_label", case(_LABELS, value=opportunities.c.status_id)),
    **one_or_some("value_period", opportunities.c.value_period, ("one_time", "monthly", "annual")),
    **days("date_won", opportunities.c.date_won),
    **moments("date_created", opportunities.c.date_created),
    **moments("date_updated", opportunities.c.date_updated),
}
OPPORTUNITY_ORDERS = {
    name: opportunities.c[name] for name in ("date_won", "date_updated", "date_created", "confidence", "value")
}
OF_TASKS: Filters = {
    "lead_id": of_lead(tasks.c.lead_pk),
    "organization_id": of_organization,
    **one_or_some("id", tasks.c.id),
    "assigned_to": one(tasks.c.assigned_to),
    "is_complete": boolean(tasks.c.is_complete),
    "_type": _task_type,
    "_type__in": some(tasks.c.type),
    **days("date", tasks.c.date),
    **days("due_date", tasks.c.date),
    **moments("date_created", tasks.c.date_created, without=("",)),
    **moments("date_updated", tasks.c.date_updated, without=("",)),
}
TASK_ORDERS = {name: tasks.c[name] for name in ("date", "date_created")}
OF_ACTIVITIES: Filters = {
    "lead_id": of_lead(activities.c.lead_pk, several=True),
    "organization_id": of_organization,
    "id__in": some(activities.c.id),
    "contact_id": some(activities.c.contact_id),
    "user_id": some(activities.c.user_id),
    "_type": _activity_type,
    **moments("date_created", activities.c.date_created, without=("",)),
    **moments("activity_at", activities.c.activity_at, without=("",)),
}
