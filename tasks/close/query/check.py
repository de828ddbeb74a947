"""Whether a query that a person wrote or saved may select leads: what is refused, and what to write instead."""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import cast
from zoneinfo import ZoneInfo

from tasks.close.problems import quoted
from tasks.close.query.conditions import (
    CurrentUser,
    FixedUtc,
    LocalTime,
    MomentRange,
    NumberRange,
    Part,
    Reference,
    RegularField,
    Term,
    TextCondition,
    UnknownMoment,
)
from tasks.close.query.freeze import freeze
from tasks.close.query.nodes import (
    DEEPEST,
    And,
    FieldCondition,
    HasRelated,
    Id,
    InStatus,
    ObjectType,
    Or,
    Query,
    Text,
    UnknownNode,
    directly_inside,
    is_deeper,
    parts,
    unknown_parts,
)
from tasks.close.query.paste import TOO_DEEP
from tasks.close.query.rewrite import UnusableQuery, always, instant_of

CURRENT_USER = "CURRENT_USER"
UNSTEADY = (
    *("now", "offset", "fixed_local_date", "start_end_of_predefined_relative_period"),
    *("saved_search", "current_user", "local_time", CURRENT_USER),
)
"""Texts whose meaning depends on the time or the user: inside parts that we can't read they can't be frozen."""


def check(query: Query, *, allow_unknown: bool = False, allowed_by: str = "") -> None:
    """Raise `UnusableQuery` if it isn't certain which leads *query* selects.

    Refused are other objects than leads, conditions on the current user or the time of day, moments that can't be
    frozen, conditions without a value, queries that can only match every lead and, unless *allow_unknown*, parts of
    unknown types. *allowed_by* is the setting, if there is one, that would allow these.
    """
    if is_deeper(query, directly_inside, DEEPEST):
        raise UnusableQuery(TOO_DEEP)
    _check_objects(query)
    for part in parts(query):
        _check_steady(part)
        _check_value(part)
    if not allow_unknown and (unknown := unknown_parts(query)):
        anyway = f" ({allowed_by} sends it anyway)" if allowed_by else ""
        raise UnusableQuery(f"we don't know what {', '.join(unknown)} means; leave it out{anyway}")
    if always(query):
        raise UnusableQuery("it matches every lead; add a condition")
    freeze(query, datetime(2026, 1, 31, tzinfo=UTC), ZoneInfo("UTC"), None)  # at any instant: does it raise?


def _check_objects(query: Query) -> None:
    """The clauses about the lead itself, not about a related object, must be about leads."""
    match query:
        case And() | Or():
            for inner in query.queries:
                _check_objects(inner)
        case ObjectType(object_type=kind) if kind != "lead":
            raise UnusableQuery(f"it selects {kind} objects; only queries for leads can be used")
        case FieldCondition(field=RegularField(object_type=kind)) if kind != "lead":
            raise UnusableQuery(f"it has a condition on a {kind} field beside the lead; wrap it in has_related")
        case HasRelated(this_object_type=kind) if kind != "lead":
            raise UnusableQuery(f"it asks what is related to a {kind} beside the lead; wrap it in has_related")
        case _:
            pass


def _check_steady(part: Part) -> None:
    """The meaning of *part* must not depend on the user or the time."""
    if isinstance(part, CurrentUser) or CURRENT_USER in _choices(part):
        raise UnusableQuery("it depends on the current user; name the user instead")
    if isinstance(part, LocalTime):
        raise UnusableQuery("its local_time condition depends on the time of day; leave it out")
    if isinstance(part, UnknownMoment):
        raise UnusableQuery(
            f"the moment {quoted(part.type)} is relative in a way that we can't freeze; write the instant that you "
            'mean as {"type": "fixed_utc", "value": "2026-01-31T00:00:00.000Z"}'
        )
    if isinstance(part, FixedUtc) and not _is_instant(part):  # "now" might be one to Close
        raise UnusableQuery(f"{quoted(part.value)} in it is not an instant such as 2026-01-31T00:00:00.000Z")
    if isinstance(part, UnknownNode) and not part.type:
        raise UnusableQuery("one of its nodes has no type")
    hidden = sorted(set(_texts(part.model_extra or {})).intersection(UNSTEADY))
    if hidden:
        raise UnusableQuery(f"it has {', '.join(hidden)} inside a part that we can't read, so it can't be frozen")


def _is_instant(moment: FixedUtc) -> bool:
    try:
        instant_of(moment)
    except ValueError:
        return False
    return True


def _check_value(part: Part) -> None:
    """A condition without a value may match everything."""
    match part:
        case Term() | Reference() | InStatus():
            missing = not _choices(part)
        case NumberRange():
            bounds = [each for each in (part.gt, part.gte, part.lt, part.lte) if each is not None]
            missing = not bounds or any(isinstance(each, float) and not math.isfinite(each) for each in bounds)
        case MomentRange():
            missing = part.on_or_after is None and part.before is None
        case Id():
            missing = not part.value.strip()
        case TextCondition(mode="exact_value"):
            missing = not part.value.strip()
        case Text() | TextCondition():
            missing = re.search(r"\w", part.value) is None
        case _:
            missing = False
    if missing:
        kind = "text" if isinstance(part, Text | TextCondition) else part.model_dump()["type"]
        raise UnusableQuery(f"a {kind} condition in it has no value, so that it may match everything; complete it")


def _choices(part: Part) -> tuple[object, ...]:
    match part:
        case Term():
            return part.values
        case Reference():
            return part.object_ids
        case InStatus():
            return part.status_ids
        case _:
            return ()


def _texts(value: object) -> Iterator[str]:
    """Yield every text inside *value*, a decoded JSON value."""
    match value:
        case str():
            yield value
        case Mapping():
            for inner in cast("Mapping[str, object]", value).values():
                yield from _texts(inner)
        case list() | tuple():
            for inner in cast("list[object]", value):
                yield from _texts(inner)
        case _:
            pass
