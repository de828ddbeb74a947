"""What goes with the leads of a plan: everything that a lead owns, which Close deletes with it.

Counted by Close, a number a request and nothing read, but for the values of opportunities where they are few. Of these
kinds Close documents only contacts as something to search for; opportunities and e-mails occur in working queries, and
the rest is a guess. What Close rejects is said to be unknown, and is no reason to stop.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping

from tasks.close.client import CloseClient
from tasks.close.errors import BadRequest, NotAllowed
from tasks.close.query.conditions import NumberRange, RegularField, Term
from tasks.close.query.nodes import And, ObjectType, Query, has, lead_field, to_json, where
from tasks.criteria.selection import Selection
from tasks.runs.connect import connect
from tasks.runs.retries import reads

logger = logging.getLogger(__name__)

FEW = 200  # opportunities; one page
PERIODS = {"one_time": "once", "monthly": "a month", "annual": "a year"}


def _of_type(name: str) -> Callable[[Query], Query]:
    return lambda leads: And(queries=(ObjectType(object_type=name), has("lead", leads, this=name)))


def _opportunities(status_type: str) -> Callable[[Query], Query]:
    field = RegularField(object_type="opportunity", field_name="status_type")
    return lambda leads: And(queries=(_of_type("opportunity")(leads), where(field, Term(values=(status_type,)))))


def _with_open_tasks(leads: Query) -> Query:
    return And(queries=(leads, where(lead_field("num_incomplete_tasks"), NumberRange(gt=0))))


OPEN = "open opportunities"
KINDS: dict[str, Callable[[Query], Query]] = {
    "contacts": _of_type("contact"),
    OPEN: _opportunities("active"),
    "won opportunities": _opportunities("won"),
    "lost opportunities": _opportunities("lost"),
    "leads with open tasks": _with_open_tasks,
    "e-mails": _of_type("activity.email"),
    "calls": _of_type("activity.call"),
    "meetings": _of_type("activity.meeting"),
    "SMS": _of_type("activity.sms"),
    "notes": _of_type("activity.note"),
}


@reads
def count_what_goes_along(selection: Selection) -> str:
    """A sentence on what belongs to the planned leads. Raises a CloseError when Close is away."""
    leads = selection.planned()
    with connect(selection.organization_id) as close:
        counts = {kind: _count(close, query(leads)) for kind, query in KINDS.items()}
        worth = _worth(close, KINDS[OPEN](leads)) if 0 < (counts[OPEN] or 0) <= FEW else {}
    return sentence(counts, worth)


def sentence(counts: Mapping[str, int | None], worth: Mapping[str, int]) -> str:
    """*counts* by kind, None where Close doesn't count them, and what open opportunities are *worth*, in cents."""
    there = [f"{number:,} {kind}{_value(worth) if kind == OPEN else ''}" for kind, number in counts.items() if number]
    unknown = [kind for kind, number in counts.items() if number is None]
    said = f"With these leads go {', '.join(there)}." if there else "Nothing that was counted goes with these leads."
    return f"{said} Close does not count their {', '.join(unknown)} here." if unknown else said


def _value(worth: Mapping[str, int]) -> str:
    amounts = [f"{cents / 100:,.0f} {unit}" for unit, cents in sorted(worth.items())]
    return f" (worth {', '.join(amounts)})" if amounts else ""


def _count(close: CloseClient, query: Query) -> int | None:
    try:
        return close.count(to_json(query))
    except (BadRequest, NotAllowed) as error:
        logger.info("Close does not count what goes with the leads: %s", error)
        return None


def _worth(close: CloseClient, opportunities: Query) -> dict[str, int]:
    """Cents by currency and period."""
    found = Counter[str]()
    fields = ("value", "value_currency", "value_period")
    try:
        rows = close.search(to_json(opportunities), object_type="opportunity", fields=fields, limit=FEW)
    except (BadRequest, NotAllowed):
        return {}
    for row in rows:
        if isinstance(value := row.get("value"), int) and value:
            found[f"{row.get('value_currency') or ''} {PERIODS.get(str(row.get('value_period')), '')}".strip()] += value
    return dict(found)
