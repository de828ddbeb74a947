"""What Close deletes with the leads of a plan: everything that belongs to them.

While they are few, it is read from the leads themselves: contacts, opportunities and tasks are part of a lead, and how
many activities it has are fields that exports have; whether searches return these too isn't documented. What the leads
don't show is counted, one search a kind: Close documents searching for contacts; opportunities and e-mails occur in
working queries, and the other kinds are a guess. A kind that can't be counted is reported, and doesn't stop the run.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tasks.close.client import CloseClient
from tasks.close.errors import BadRequest, NotAllowed
from tasks.close.pages import SEARCH_PAGE
from tasks.close.query.conditions import NumberRange, RegularField, Term
from tasks.close.query.nodes import And, ObjectType, Query, has, lead_field, to_json, where
from tasks.criteria.selection import Selection
from tasks.plan.model import Cascade
from tasks.runs.connect import connect
from tasks.runs.retries import reads
from tasks.runs.wording import counted

logger = logging.getLogger(__name__)

Row = Mapping[str, Any]

FEW = SEARCH_PAGE  # opportunities
PERIODS = {"one_time": "once", "monthly": "a month", "annual": "a year"}


def _of_type(name: str) -> Callable[[Query], Query]:
    return lambda leads: And(queries=(ObjectType(object_type=name), has("lead", leads, this=name)))


def _opportunities(status_type: str) -> Callable[[Query], Query]:
    field = RegularField(object_type="opportunity", field_name="status_type")
    return lambda leads: And(queries=(_of_type("opportunity")(leads), where(field, Term(values=(status_type,)))))


def _with_open_tasks(leads: Query) -> Query:
    return And(queries=(leads, where(lead_field("num_incomplete_tasks"), NumberRange(gt=0))))


OPEN, WON, LOST = "open opportunities", "won opportunities", "lost opportunities"
TASKS = "open tasks"
KINDS: dict[str, tuple[str, Callable[[Query], Query]]] = {
    "contacts": ("contact", _of_type("contact")),
    OPEN: ("open opportunity", _opportunities("active")),
    WON: ("won opportunity", _opportunities("won")),
    LOST: ("lost opportunity", _opportunities("lost")),
    TASKS: ("lead", _with_open_tasks),
    "e-mails": ("e-mail", _of_type("activity.email")),
    "calls": ("call", _of_type("activity.call")),
    "meetings": ("meeting", _of_type("activity.meeting")),
    "SMS": ("SMS", _of_type("activity.sms")),
    "notes": ("note", _of_type("activity.note")),
}
"""What one of a kind is called, and how to find those of the leads that a query matches; of tasks, the leads."""

NUMBERS = {
    "e-mails": "num_emails",
    "calls": "num_calls",
    "meetings": "num_meetings",
    "SMS": "num_sms",
    "notes": "num_notes",
}
"""The field of a lead that has the number of its activities of a kind."""
FIELDS = ("contacts", "opportunities", "tasks", *NUMBERS.values())
"""The fields of a lead that show what belongs to it."""


class Belongings(NamedTuple):
    """What belongs to some leads."""

    counts: dict[str, int]
    """By kind; those that aren't known are missing."""
    worth: dict[str, int]
    """What open opportunities are worth, in cents by currency and period."""


def what_goes_along(selection: Selection, leads: Sequence[Row], all_read: bool, *, patient: bool) -> Cascade:
    """What belongs to the planned leads: from *leads*, if they are all of them, else by counting.

    Unless *patient*, what would have to wait for Close's rate limit is not counted. Raises `CloseError` when Close is
    unavailable.
    """
    counts, worth = read_from(leads) if all_read else Belongings({}, {})
    missing = [kind for kind in KINDS if kind not in counts]
    if missing:
        more = count_what_goes_along(selection, missing, patient=patient)
        counts, worth = {**counts, **more.counts}, {**worth, **more.worth}
    return in_words(counts, worth)


def read_from(leads: Sequence[Row]) -> Belongings:
    """What *leads* show of what belongs to them; of a kind that one of them doesn't show, nothing."""
    counts: dict[str, int] = {}
    if (contacts := _all_rows(leads, "contacts")) is not None:
        counts["contacts"] = len(contacts)
    if _all_rows(leads, "tasks") is not None:
        counts[TASKS] = sum(any(not task.get("is_complete") for task in lead["tasks"]) for lead in leads)
    worth: dict[str, int] = {}
    if (opportunities := _all_rows(leads, "opportunities")) is not None:
        types = Counter(each.get("status_type") for each in opportunities)
        if types.keys() <= {"active", "won", "lost"}:
            counts |= {OPEN: types["active"], WON: types["won"], LOST: types["lost"]}
            worth = worth_of(each for each in opportunities if each["status_type"] == "active")
    for kind, field in NUMBERS.items():
        if all(type(lead.get(field)) is int for lead in leads):
            counts[kind] = sum(lead[field] for lead in leads)
    return Belongings(counts, worth)


def _all_rows(leads: Sequence[Row], name: str) -> list[Row] | None:
    """The objects in the field *name* of all *leads*; None if one of them has no list of objects there."""
    rows: list[Any] = []
    for lead in leads:
        if not isinstance(shown := lead.get(name), list):
            return None
        rows += shown
    return rows if all(isinstance(row, dict) for row in rows) else None


@reads
def count_what_goes_along(selection: Selection, kinds: Collection[str], *, patient: bool) -> Belongings:
    """Count *kinds* of what belongs to the planned leads. Raises `CloseError` when Close is unavailable."""
    leads, counts, worth = selection.planned(), dict[str, int](), dict[str, int]()
    with connect(selection.organization_id) as close:
        for kind in kinds:
            if patient or close.searches_left != 0:
                counts |= _count(close, kind, leads)
        if 0 < counts.get(OPEN, 0) <= FEW and (patient or close.searches_left != 0):
            worth = _worth(close, KINDS[OPEN][1](leads))
    return Belongings(counts, worth)


def in_words(counts: Mapping[str, int], worth: Mapping[str, int]) -> Cascade:
    """*counts* by kind, without those that aren't known, and what open opportunities are *worth*, in cents."""
    known = {kind: counted(number, KINDS[kind][0], kind) for kind in KINDS if (number := counts.get(kind))}
    if worth and OPEN in known:
        amounts = [f"{cents / 100:,.0f} {unit}" for unit, cents in sorted(worth.items())]
        known[OPEN] += f" (worth {', '.join(amounts)})"
    if leads := counts.get(TASKS):
        known[TASKS] = f"open tasks (on {counted(leads, 'lead')})"
    return Cascade(known=tuple(known.values()), not_counted=tuple(kind for kind in KINDS if kind not in counts))


def _count(close: CloseClient, kind: str, leads: Query) -> dict[str, int]:
    try:
        return {kind: close.count(to_json(KINDS[kind][1](leads)))}
    except (BadRequest, NotAllowed) as error:
        logger.info("Close rejected the count of %s that belong to the leads: %s", kind, error)
        return {}


def _worth(close: CloseClient, opportunities: Query) -> dict[str, int]:
    fields = ("value", "value_currency", "value_period")
    try:
        return worth_of(close.search(to_json(opportunities), object_type="opportunity", fields=fields, limit=FEW))
    except (BadRequest, NotAllowed):
        return {}


def worth_of(opportunities: Iterable[Row]) -> dict[str, int]:
    """What *opportunities* are worth: cents by currency and period."""
    worth = Counter[str]()
    for row in opportunities:
        if isinstance(value := row.get("value"), int) and value:
            worth[f"{row.get('value_currency') or ''} {PERIODS.get(str(row.get('value_period')), '')}".strip()] += value
    return dict(worth)
