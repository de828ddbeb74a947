"""The way from criteria to a plan."""

from datetime import datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.close.query.nodes import Query, to_json
from tasks.criteria import reading
from tasks.criteria.policy import Keep, Limits, Match
from tasks.criteria.selection import Selection, select
from tasks.criteria.wording import in_words
from tasks.plan.account import Needed, Surroundings, survey
from tasks.plan.cascade import what_goes_with
from tasks.plan.checks import check_clocks
from tasks.plan.counting import count_leads, oldest, read_leads, recount, sample_leads
from tasks.plan.model import Counts, Plan
from tasks.plan.overrides import weakened
from tasks.plan.ramp import criteria_of
from tasks.plan.ramp import read as read_ramp
from tasks.runs.connect import Identity, client, remember, settings
from tasks.runs.outcomes import Refused
from tasks.runs.run import Run, deployed_parameters

RAMPED = (
    "This cleanup is new here, or its criteria have changed, so it starts small and leaves {:,} leads for later runs: "
    "its first run that deletes plans the 50 oldest, its second 500. limits.ramp turns this off."
)


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def read_account(match: Match, keep: Keep, as_of: datetime) -> Surroundings:
    """Prove the key and the clocks, and read the organisation and whatever names the criteria use."""
    found = settings()
    with client(found) as close:
        here = survey(close, Needed.by(match, keep, found.keep_smart_view))
        check_clocks(as_of, close.time)
    remember(found, Identity(here.user.id, here.organization.id))
    return here


def make_plan(
    run: Run, match: Match, keep: Keep, limits: Limits, approval: str, *, sample: int = 25, time_zone: str = "UTC"
) -> Plan:
    """Everything up to the decision: names to ids, criteria to a query, counts, batch, our own reading, a sample."""
    here = read_account(match, keep, run.as_of)
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
            *weakened(deployed_parameters(run), keep, limits, approval),
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
