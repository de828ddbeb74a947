"""What Close deletes with the leads of a plan: everything that belongs to them.

Close counts each kind in one request; only the values of opportunities are read, where there are few. Close documents
searching for contacts; opportunities and e-mails occur in working queries, and the other kinds are a guess. A kind
whose search Close rejects is reported as unknown, and doesn't stop the run.
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
from tasks.runs.wording import counted

logger = logging.getLogger(__name__)

FEW = 200  # opportunities: one page
PERIODS = {"one_time": "once", "monthly": "a month", "annual": "a year"}


def _of_type(name: str) -> Callable[[Query], Query]:
    return lambda leads: And(queries=(ObjectType(object_type=name), has("lead", leads, this=name)))


def _opportunities(status_type: str) -> Callable[[Query], Query]:
    field = RegularField(object_type="opportunity", field_name="status_type")
    return lambda leads: And(queries=(_of_type("opportunity")(leads), where(field, Term(values=(status_type,)))))


def _with_open_tasks(leads: Query) -> Query:
    return And(queries=(leads, where(lead_field("num_incomplete_tasks"), NumberRange(gt=0))))


OPEN = "open opportunities"
TASKS = "open tasks"
KINDS: dict[str, tuple[str, Callable[[Query], Query]]] = {
    "contacts": ("contact", _of_type("contact")),
    OPEN: ("open opportunity", _opportunities("active")),
    "won opportunities": ("won opportunity", _opportunities("won")),
    "lost opportunities": ("lost opportunity", _opportunities("lost")),
    TASKS: ("lead", _with_open_tasks),
    "e-mails": ("e-mail", _of_type("activity.email")),
    "calls": ("call", _of_type("activity.call")),
    "meetings": ("meeting", _of_type("activity.meeting")),
    "SMS": ("SMS", _of_type("activity.sms")),
    "notes": ("note", _of_type("activity.note")),
}
"""What one of a kind is called, and how to find those of the leads that a query matches; of tasks, the leads."""


@reads
def count_what_goes_along(selection: Selection) -> str:
    """A sentence on what belongs to the planned leads. Raises `CloseError` when Close is unavailable."""
    leads = selection.planned()
    with connect(selection.organization_id) as close:
        counts = {kind: _count(close, query(leads)) for kind, (_, query) in KINDS.items()}
        worth = _worth(close, KINDS[OPEN][1](leads)) if 0 < (counts[OPEN] or 0) <= FEW else {}
    return sentence(counts, worth)


def sentence(counts: Mapping[str, int | None], worth: Mapping[str, int]) -> str:
    """*counts* by kind, None where Close doesn't count them, and what open opportunities are *worth*, in cents."""
    known = {kind: counted(number, KINDS[kind][0], kind) for kind, number in counts.items() if number}
    if worth and OPEN in known:
        amounts = [f"{cents / 100:,.0f} {unit}" for unit, cents in sorted(worth.items())]
        known[OPEN] += f" (worth {', '.join(amounts)})"
    if leads := counts.get(TASKS):
        known[TASKS] = f"open tasks (on {counted(leads, 'lead')})"
    unknown = [kind for kind, number in counts.items() if number is None]
    first = (
        f"When they were planned, these leads had {', '.join(known.values())}, which Close deletes with them."
        if known
        else "When they were planned, these leads had nothing that was counted."
    )
    return f"{first} Close does not count their {', '.join(unknown)} here." if unknown else first


def _count(close: CloseClient, query: Query) -> int | None:
    try:
        return close.count(to_json(query))
    except (BadRequest, NotAllowed) as error:
        logger.info("Close rejected a count of what belongs to the leads: %s", error)
        return None


def _worth(close: CloseClient, opportunities: Query) -> dict[str, int]:
    """Cents by currency and period."""
    worth = Counter[str]()
    fields = ("value", "value_currency", "value_period")
    try:
        rows = close.search(to_json(opportunities), object_type="opportunity", fields=fields, limit=FEW)
    except (BadRequest, NotAllowed):
        return {}
    for row in rows:
        if isinstance(value := row.get("value"), int) and value:
            worth[f"{row.get('value_currency') or ''} {PERIODS.get(str(row.get('value_period')), '')}".strip()] += value
    return dict(worth)
