"""From criteria to a plan."""

from datetime import UTC, datetime

from pydantic import ValidationError

from tasks.close.problems import problems
from tasks.close.query.nodes import to_json
from tasks.criteria import reading
from tasks.criteria.policy import Limits
from tasks.criteria.selection import Criteria
from tasks.criteria.wording import in_words
from tasks.plan.account import Account, Needed, survey
from tasks.plan.cascade import what_goes_along
from tasks.plan.checks import check_clocks, over_limits, without_ramp
from tasks.plan.counting import find_leads, read_leads, sample_of
from tasks.plan.model import Plan
from tasks.plan.overrides import weakened
from tasks.plan.ramp import criteria_digest
from tasks.plan.ramp import read as read_ramp
from tasks.runs.connect import Identity, client, read_settings, remember
from tasks.runs.outcomes import Refused
from tasks.runs.retries import reads
from tasks.runs.run import Run, deployed_parameters, tag
from tasks.runs.wording import counted, with_full_stop

RAMPED = (
    "This cleanup is new here, or its criteria have changed, so it starts small and leaves {} for later runs: its "
    "first run that deletes plans the 50 oldest, its second 500. To plan all of them, turn off "
    '"Start small" (limits.ramp; --no-limits.ramp at a terminal).'
)


@reads
def read_account(criteria: Criteria) -> Account:
    """Check the key and the clocks, and read the organisation and the names that the criteria use."""
    settings = read_settings()
    close = client(settings)
    account = survey(close, Needed.by(criteria.match, criteria.keep, settings.keep_smart_view))
    check_clocks(criteria.updated_before or criteria.as_of, close.time, datetime.now(UTC))
    remember(settings, Identity(account.user.id, account.organization.id))
    return account


def make_plan(run: Run, criteria: Criteria, limits: Limits, approval: str, *, sample: int, dry_run: bool) -> Plan:
    """Build the plan: resolve names, build the query, count, cut to the batch or the ramp, check by reading, sample.

    *approval* is only compared with the deployment's, for a note. A *dry_run* doesn't wait for the rate limit to count
    what goes along.
    """
    account = read_account(criteria)
    organization_id = account.organization.id
    tag(run, organization_id, dry_run=dry_run)
    selection = criteria.select(account.names, organization_id)
    digest_of_criteria = criteria_digest(criteria, account.names, organization_id)
    ramp = read_ramp(run, organization_id, digest_of_criteria).most if limits.ramp else None
    batch = min(filter(None, (limits.batch, ramp)), default=None)
    by_ramp = batch is not None and batch == ramp
    found = find_leads(selection, batch, "turn off limits.ramp" if by_ramp else "raise limits.batch")
    selection, counts, oldest = found
    if reading.must_check_before_export(criteria) and counts.planned <= limits.max_leads:
        if found.has_all:
            reading.check_leads(oldest, criteria)
        else:
            read_leads(selection, criteria)
    ramped = by_ramp and counts.waiting > 0
    return Plan.of(
        to_json(selection.planned()),
        organization_id=organization_id,
        organization=account.organization.name,
        seen_by=f"{account.user.email or account.user.id} ({account.role})",
        user_id=account.user.id,
        may_delete=account.may_delete,
        as_of=criteria.as_of,
        updated_before=criteria.updated_before,
        counts=counts,
        criteria_digest=digest_of_criteria,
        criteria=str(criteria),
        protects=in_words(criteria.keep),
        cascade=what_goes_along(selection, oldest, found.has_all, patient=not dry_run) if counts.planned else None,
        ramped=ramped,
        over_limit=over_limits(without_ramp(counts, limits, ramped), limits),
        sample=sample_of(oldest[:sample]),
        notes=(
            *([RAMPED.format(counted(counts.waiting, "lead"))] if ramped else ()),
            *account.notes,
            *_weakened(run, criteria, limits, approval),
        ),
    )


def _weakened(run: Run, criteria: Criteria, limits: Limits, approval: str) -> list[str]:
    deployed = deployed_parameters(run)
    try:
        return weakened(deployed, criteria.keep, limits, approval)
    except ValidationError as error:
        wrong = with_full_stop(f"The parameters of this run's deployment can't be used: {problems(error, deployed)}")
        raise Refused(f"{wrong} Correct them in prefect.yaml, and deploy it again.") from None
