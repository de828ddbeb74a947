"""Tasks that look: who we are, what the names stand for, how many leads there are, and a few of them.

They only read. Waiting for Close when it is away is the client's business, so no task is retried.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import reading
from tasks.cascade import what_goes_with
from tasks.close.client import LONGEST_SEARCH, CloseClient
from tasks.close.conditions import FixedUtc
from tasks.close.errors import BadRequest
from tasks.close.rewrite import instant_of
from tasks.close.s_query import And, Query, on_or_after, to_json
from tasks.connect import Identity, client, connect, remember, settings
from tasks.criteria import CREATED, setting
from tasks.fields import unknown_field
from tasks.outcomes import Refused
from tasks.plan import (
    LEADS,
    Counts,
    Plan,
    SampleLead,
    Selection,
    approval_loosened,
    check_clocks,
    limits_loosened,
    rules_dropped,
    select,
)
from tasks.policy import Keep, Limits, Match
from tasks.ramp import criteria_of
from tasks.ramp import read as read_ramp
from tasks.run import Run
from tasks.surroundings import Needed, Surroundings, survey
from tasks.wording import in_words

OLDEST_FIRST = ({"direction": "asc", "field": to_json(CREATED)},)
SAMPLE_FIELDS = ("id", "display_name", "status_label", "last_communication_date", "html_url")
COUNTS = 3
RAMPED = (
    "This cleanup is new here, or its criteria have changed, so it starts small and leaves {:,} leads for later runs: "
    "its first run that deletes plans the 50 oldest, its second 500. limits.ramp turns this off."
)


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def look_around(match: Match, keep: Keep, as_of: datetime) -> Surroundings:
    """Prove the key and the clocks, and read the organisation and whatever names the criteria use."""
    found = settings()
    with client(found) as close:
        here = survey(close, Needed.by(match, keep, found.keep_smart_view))
        check_clocks(as_of, close.time)
    remember(found, Identity(here.user.id, here.organization.id))
    return here


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def count_leads(selection: Selection, organization_id: str) -> Counts:
    """Count what matches, what each rule protects, what is left, and all leads there are in the organisation.

    Counts up to three times until the numbers add up: leads change while we count. Raises `Refused` when Close rejects
    a rule.
    """
    with connect(organization_id) as close:
        for _ in range(COUNTS - 1):
            if (counts := _count(close, selection)).add_up:
                return counts
        return _count(close, selection)


def _count(close: CloseClient, selection: Selection) -> Counts:
    def count(query: Query, setting: str) -> int:
        try:
            return close.count(to_json(query))
        except BadRequest as error:
            unknown = unknown_field(to_json(query), error.field_errors)
            raise Refused(f"{setting} can't be used here: {error} {unknown or 'Change it, or leave it out.'}") from None

    matched = count(selection.matched(), "match")
    kept = {rule: count(selection.kept(rule), setting(rule)) for rule in selection.keep}
    kept = {rule: number for rule, number in kept.items() if number}
    return Counts(
        total=count(LEADS, "the count of all leads"),
        matched=matched,
        kept={**kept, "total": count(selection.kept(), "keep") if kept else 0},
        planned=count(selection.planned(), "the keep rules turned round"),
    )


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def oldest(selection: Selection, number: int, remedy: str, organization_id: str) -> Query:
    """The planned leads, cut to at most the *number* oldest by a creation instant that is part of the query.

    Leads that share the last instant all wait for the next run. Raises `Refused`, with the *remedy*, if that
    leaves none.
    """
    with connect(organization_id) as close:
        rows = close.search(
            to_json(selection.planned()), fields=("id", "date_created"), sort=OLDEST_FIRST, limit=number + 1
        )
        if len(rows) <= number:
            return selection.planned()
        end = _instant(rows[number])
        if _instant(rows[0]) == end:
            raise Refused(f"More than {number} leads were created at the same instant (an import?): {remedy}.")
        return selection.planned(created_before=end)


def _instant(row: dict[str, Any]) -> datetime:
    """When the lead was created, cut to the milliseconds that a query can say."""
    created = instant_of(FixedUtc(value=str(row["date_created"])))
    return created.replace(microsecond=created.microsecond // 1000 * 1000)


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def sample_leads(query: Query, number: int, organization_id: str) -> tuple[SampleLead, ...]:
    """The oldest *number* of the planned leads."""
    with connect(organization_id) as close:
        rows = close.search(to_json(query), fields=SAMPLE_FIELDS, sort=OLDEST_FIRST, limit=number)
    return tuple(_sample(row) for row in rows)


def _sample(row: dict[str, Any]) -> SampleLead:
    return SampleLead(
        id=str(row["id"]),
        name=str(row.get("display_name") or ""),
        status=str(row.get("status_label") or ""),
        last_communication=str(row.get("last_communication_date") or "never")[:10],
        url=str(row.get("html_url") or ""),
    )


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def read_leads(query: Query, match: Match, keep: Keep, organization_id: str) -> None:
    """Read every planned lead and check it with our own eyes; see `tasks.reading`."""
    with connect(organization_id) as close:
        reading.check_leads(list(walk(close, query, reading.FIELDS)), match, keep)


def walk(close: CloseClient, query: Query, fields: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Every lead that *query* matches, oldest first, however many: Close ends one search after 10,000.

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
            raise Refused(f"More than {LONGEST_SEARCH} leads were created at the same instant; they can't be read.")
        window = And(queries=(query, on_or_after(CREATED, _instant(rows[-1]))))


def make_plan(
    run: Run, match: Match, keep: Keep, limits: Limits, approval: str, *, sample: int = 25, time_zone: str = "UTC"
) -> Plan:
    """Everything up to the decision: names to ids, criteria to a query, counts, batch, our own reading, a sample."""
    here = look_around(match, keep, run.as_of)
    selection = select(match, keep, here.names, run.as_of, time_zone)
    at = here.organization.id
    criteria = criteria_of(match, keep, here.names, at, time_zone)
    ramp = read_ramp(run, at, criteria).most if limits.ramp else None
    counts = count_leads(selection, at)
    batch = min(filter(None, (limits.batch, ramp)), default=counts.planned)
    ramped = batch < counts.planned and batch == ramp
    query, counts = _cut(selection, counts, batch, "turn off limits.ramp" if ramped else "raise limits.batch", at)
    if reading.needed(match, keep) and counts.planned <= limits.max_leads:
        read_leads(query, match, keep, at)
    return Plan(
        organization_id=at,
        organization=here.organization.name,
        seen_by=f"{here.user.email or here.user.id} ({here.role})",
        user_id=here.user.id,
        may_delete=here.may_delete,
        as_of=run.as_of,
        s_query=to_json(query),
        counts=counts,
        criteria=criteria,
        asked=f"{'; '.join(in_words('match', match))}. Kept: {'; '.join(in_words('keep', keep)) or 'nothing'}.",
        ramped=ramped,
        sample=sample_leads(query, sample, at) if sample and counts.planned else (),
        notes=(
            *([what_goes_with(query, at)] if counts.planned else ()),
            *([RAMPED.format(counts.waiting)] if ramped else ()),
            *here.notes,
            *_lost(run.deployed(), keep, limits, approval),
        ),
    )


def _cut(selection: Selection, counts: Counts, batch: int, remedy: str, organization_id: str) -> tuple[Query, Counts]:
    """The query and the numbers of the oldest *batch* of the leads that would be planned, or of all that there are."""
    if batch >= counts.planned:
        return selection.planned(), counts
    query = oldest(selection, batch, remedy, organization_id)
    cut = counts.cut_to(recount(query, organization_id))
    if cut.planned > batch:
        raise Refused(f"The batch would be {cut.planned} leads, more than {batch}: leads are changing.")
    return query, cut


def _lost(deployed: Mapping[str, Any], keep: Keep, limits: Limits, approval: str) -> list[str]:
    """What this run lacks of the care of its deployment."""
    if not deployed:
        return []
    return [
        *rules_dropped(Keep.model_validate(deployed.get("keep") or {}), keep),
        *limits_loosened(Limits.model_validate(deployed.get("limits") or {}), limits),
        *approval_loosened(deployed.get("approval", "never"), approval),
    ]


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def recount(query: Query, organization_id: str) -> int:
    """How many leads *query* matches now."""
    with connect(organization_id) as close:
        return close.count(to_json(query))
