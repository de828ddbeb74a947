"""Tasks that count and read leads in Close, and change nothing."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, cast

from tasks.close.client import LONGEST_SEARCH, CloseClient
from tasks.close.errors import BadRequest
from tasks.close.query.conditions import FixedUtc
from tasks.close.query.nodes import And, Query, on_or_after, to_json
from tasks.close.query.rewrite import instant_of
from tasks.criteria import reading
from tasks.criteria.rules import CREATED, setting
from tasks.criteria.selection import LEADS, Criteria, Selection
from tasks.plan.model import Counts, SampleLead
from tasks.runs.connect import connect
from tasks.runs.outcomes import Refused
from tasks.runs.retries import reads
from tasks.runs.wording import counted

OLDEST_FIRST = ({"direction": "asc", "field": to_json(CREATED)},)
SAMPLE_FIELDS = ("id", "display_name", "status_label", "last_communication_date", "html_url")


@reads
def count_leads(selection: Selection) -> Counts:
    """Count what matches, what each rule protects, what is planned, and all leads of the organisation.

    Counts up to three times until the numbers add up: leads change meanwhile. Raises `Refused` when Close rejects a
    rule.
    """
    with connect(selection.organization_id) as close:
        for _ in range(2):
            if (counts := _count(close, selection)).add_up:
                return counts
        return _count(close, selection)


def _count(close: CloseClient, selection: Selection) -> Counts:
    def count(query: Query, setting: str) -> int:
        try:
            return close.count(to_json(query))
        except BadRequest as error:
            rejected = rejected_field(to_json(query), error.field_errors)
            raise Refused(f"Close rejects {setting}: {error} {rejected}Change or remove it.") from None

    matched = count(selection.matched(), "match")
    kept = {rule: count(selection.kept(rule), setting(rule)) for rule in selection.keep}
    kept = {rule: number for rule, number in kept.items() if number}
    return Counts(
        total=count(LEADS, "the count of all leads"),
        matched=matched,
        kept={**kept, "total": count(selection.kept(), "keep") if kept else 0},
        planned=count(selection.planned(), "the negated keep rules"),
    )


def rejected_field(query: Mapping[str, Any], rejected: Iterable[str]) -> str:
    """A sentence on the field of *query* that Close rejects, where one of the *rejected* paths leads to its name."""
    for path in rejected:
        name = _at(query, path.removeprefix("query.").split("."))
        if path.endswith("field_name") and isinstance(name, str):
            return f"Close has no field {name!r}. "
    return ""


def _at(document: object, steps: list[str]) -> object:
    for step in steps:
        if isinstance(document, Mapping):
            document = cast("Mapping[str, object]", document).get(step)
        elif isinstance(document, list) and step.isdigit() and int(step) < len(cast("list[object]", document)):
            document = cast("list[object]", document)[int(step)]
        else:
            return None
    return document


@reads
def oldest(selection: Selection, number: int, remedy: str) -> Selection:
    """*selection* with at most the *number* oldest leads planned, limited by a creation instant in the query.

    Leads created at that instant all wait for the next run. Raises `Refused`, with the *remedy*, if none are left.
    """
    with connect(selection.organization_id) as close:
        rows = close.search(
            to_json(selection.planned()), fields=("id", "date_created"), sort=OLDEST_FIRST, limit=number + 1
        )
        if len(rows) <= number:
            return selection
        end = _instant(rows[number])
        if _instant(rows[0]) == end:
            leads = counted(number, "lead was", "leads were")
            raise Refused(f"More than {leads} created at the same instant (an import?): {remedy}.")
        return selection.cut(end)


def _instant(row: dict[str, Any]) -> datetime:
    """When the lead was created, rounded down to the milliseconds that a query can express."""
    created = instant_of(FixedUtc(value=str(row["date_created"])))
    return created.replace(microsecond=created.microsecond // 1000 * 1000)


@reads
def sample_leads(selection: Selection, number: int) -> tuple[SampleLead, ...]:
    """The oldest *number* of the planned leads."""
    with connect(selection.organization_id) as close:
        rows = close.search(to_json(selection.planned()), fields=SAMPLE_FIELDS, sort=OLDEST_FIRST, limit=number)
    return tuple(
        SampleLead(
            id=str(row["id"]),
            name=str(row.get("display_name") or ""),
            status=str(row.get("status_label") or ""),
            last_communication=str(row.get("last_communication_date") or "never")[:10],
            url=str(row.get("html_url") or ""),
        )
        for row in rows
    )


@reads
def read_leads(selection: Selection, criteria: Criteria) -> None:
    """Check every planned lead by our own reading of the *criteria*; see `tasks.criteria.reading`."""
    with connect(selection.organization_id) as close:
        reading.check_leads(list(walk(close, selection.planned(), reading.FIELDS)), criteria)


def walk(close: CloseClient, query: Query, fields: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield every lead that *query* matches, oldest first: Close ends one search after 10,000.

    Raises `Refused` if more than 10,000 leads were created within one millisecond.
    """
    seen: set[str] = set()
    window = query
    while True:
        rows = close.search(to_json(window), fields=(*fields, "date_created"), sort=OLDEST_FIRST, limit=LONGEST_SEARCH)
        fresh = [row for row in rows if row["id"] not in seen]
        yield from fresh
        seen.update(str(row["id"]) for row in fresh)
        if len(rows) < LONGEST_SEARCH:
            return
        if not fresh:
            raise Refused(f"More than {LONGEST_SEARCH:,} leads were created at the same instant; they can't be read.")
        window = And(queries=(query, on_or_after(CREATED, _instant(rows[-1]))))


@reads
def recount(selection: Selection) -> int:
    """Count the planned leads again."""
    with connect(selection.organization_id) as close:
        return close.count(to_json(selection.planned()))
