"""Tasks that count and read leads in Close, and change nothing."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple, cast

from tasks.close.client import CloseClient
from tasks.close.errors import BadRequest
from tasks.close.pages import LONGEST_SEARCH, SEARCH_PAGE
from tasks.close.query.conditions import FixedUtc
from tasks.close.query.nodes import And, Query, on_or_after, to_json
from tasks.close.query.rewrite import instant_of
from tasks.criteria import reading
from tasks.criteria.rules import CREATED, setting
from tasks.criteria.selection import LEADS, Criteria, Selection
from tasks.plan import cascade
from tasks.plan.model import Counts, SampleLead
from tasks.runs.connect import connect
from tasks.runs.outcomes import Refused
from tasks.runs.retries import reads
from tasks.runs.wording import counted

OLDEST_FIRST = ({"direction": "asc", "field": to_json(CREATED)},)
SAMPLE_FIELDS = ("id", "display_name", "status_label", "last_communication_date", "html_url")
FIELDS = tuple(dict.fromkeys((*SAMPLE_FIELDS, *reading.FIELDS, *cascade.FIELDS, "date_created")))
"""What is read of a planned lead: for the sample, for our own reading of the criteria, and for what goes along."""
FEW = 5 * SEARCH_PAGE
"""So many planned leads are all read: each page costs a search, and counting what goes along with them costs ten."""


class FoundLeads(NamedTuple):
    """What Close shows of a selection: the numbers, and the oldest of the leads that it plans."""

    selection: Selection
    """With only the oldest leads planned, if there is a batch."""
    counts: Counts
    oldest: list[dict[str, Any]]
    """All of the planned leads, or a page if they are more than `FEW`, with `FIELDS`. They have names: nothing stores
    them.
    """

    @property
    def has_all(self) -> bool:
        """Whether `oldest` are all of the planned leads."""
        return len(self.oldest) == self.counts.planned


@reads
def find_leads(selection: Selection, batch: int | None, remedy: str) -> FoundLeads:
    """Count what matches, what each rule protects, what is planned, and all leads of the organisation.

    Plans only the oldest *batch* of the leads, if there are more. Counts up to three times until the numbers add up:
    leads change meanwhile. Raises `Refused` when Close rejects a rule; and, with the *remedy*, if no batch can be cut.
    """
    with connect(selection.organization_id) as close:
        found = _find(close, selection, batch)
        for _ in range(2):
            if not found.counts.add_up:
                found = _find(close, selection, batch)
        if batch is None or batch >= found.counts.planned:
            return found
        return _cut(close, found, batch, remedy)


def _find(close: CloseClient, selection: Selection, batch: int | None) -> FoundLeads:
    def count(query: Query, setting: str) -> int:
        with _explained(query, setting):
            return close.count(to_json(query))

    def count_each() -> dict[str, int]:
        return {rule: count(selection.kept(rule), setting(rule)) for rule in selection.keep}

    matched = count(selection.matched(), "match")
    try:
        kept = count(selection.kept(), "keep") if selection.keep else 0
    except Refused:
        count_each()  # Close rejects one of them, which is then named
        raise
    # Where none is kept in all, no rule keeps any; if that is misread, the numbers don't add up.
    by_rule = {rule: number for rule, number in count_each().items() if number} if kept else {}
    with _explained(selection.planned(), "the negated keep rules"):
        planned, oldest = _read_oldest(close, selection, batch + 1 if batch else FEW)
    total = count(LEADS, "the count of all leads")
    counts = Counts(total=total, matched=matched, kept={**by_rule, "total": kept}, planned=planned)
    return FoundLeads(selection, counts, oldest)


def _read_oldest(close: CloseClient, selection: Selection, wanted: int) -> tuple[int, list[dict[str, Any]]]:
    """How many leads are planned, and the oldest, with `FIELDS`; if Close rejects one of these, with fewer.

    If more are *wanted* than a page has, they are all of them, or a page if they are more than `FEW`.
    """
    query, limit = to_json(selection.planned()), min(wanted, SEARCH_PAGE)
    few = FEW if wanted > limit else 0
    try:
        return close.count_and_search(query, fields=FIELDS, sort=OLDEST_FIRST, limit=limit, few=few)
    except BadRequest as error:
        if not error.names("_fields"):
            raise
        fewer = (*SAMPLE_FIELDS, *reading.FIELDS, "date_created")
        return close.count_and_search(query, fields=fewer, sort=OLDEST_FIRST, limit=limit, few=few)


@contextmanager
def _explained(query: Query, setting: str) -> Generator[None]:
    try:
        yield
    except BadRequest as error:
        rejected = rejected_field(to_json(query), error.field_errors)
        raise Refused(f"Close rejects {setting}: {error} {rejected}Change or remove it.") from None


def _cut(close: CloseClient, found: FoundLeads, batch: int, remedy: str) -> FoundLeads:
    """*found*, with at most the oldest *batch* of the leads planned, by a creation instant in the query.

    Leads created at that instant all wait for the next run.
    """
    rows = found.oldest
    if len(rows) <= batch:
        planned = to_json(found.selection.planned())
        rows = close.search(planned, fields=("date_created",), sort=OLDEST_FIRST, limit=batch + 1)
    selection = found.selection
    if len(rows) > batch:
        end = _instant(rows[batch])
        if _instant(rows[0]) == end:
            leads = counted(batch, "lead was", "leads were")
            raise Refused(f"More than {leads} created at the same instant (an import?): {remedy}.")
        selection = selection.cut(end)
    left, oldest = _read_oldest(close, selection, batch)
    if left > batch:
        leads = counted(left, "lead")
        raise Refused(f"The batch would have {leads}, more than {batch:,}: leads are changing meanwhile.")
    return FoundLeads(selection, found.counts.cut_to(left), oldest)


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


def _instant(row: dict[str, Any]) -> datetime:
    """When the lead was created, rounded down to the milliseconds that a query can express."""
    created = instant_of(FixedUtc(value=str(row["date_created"])))
    return created.replace(microsecond=created.microsecond // 1000 * 1000)


def sample_of(leads: Iterable[Mapping[str, Any]]) -> tuple[SampleLead, ...]:
    """*leads*, as the plan shows them."""
    return tuple(
        SampleLead(
            id=str(row["id"]),
            name=str(row.get("display_name") or ""),
            status=str(row.get("status_label") or ""),
            last_communication=str(row.get("last_communication_date") or "never")[:10],
            url=str(row.get("html_url") or ""),
        )
        for row in leads
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
