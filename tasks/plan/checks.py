"""The checks that stop a plan before anything is deleted. Pure."""

from datetime import datetime, timedelta

from tasks.criteria.policy import Limits
from tasks.plan.model import Counts, Plan
from tasks.runs.outcomes import Outcome, Refused, Stop
from tasks.runs.wording import counted

SMALL_PLAN = 20  # leads; a share says nothing about a plan this small
TOLD_LATE = timedelta(seconds=2)
"""How far the time in a server's answer may be behind its clock: without fractions, and often cached for a second."""


def check_clocks(as_of: datetime, theirs: datetime | None, ours: datetime) -> None:
    """Raise `Refused` if the cut-off is ahead of Close's clock: leads edited until then would not be spared.

    Where Close doesn't tell the time, this machine's clock, *ours*, must do.
    """
    now, whose = (theirs, "Close's") if theirs else (ours, "this machine's")
    if as_of > now + TOLD_LATE:
        raise Refused(
            f"The cut-off of this run is {counted(round((as_of - now).total_seconds()), 'second')} ahead of {whose} "
            "clock: leads edited until then would not be spared. Correct the clocks of the Prefect server and its "
            "workers, and start a new run."
        )


def check_plan(plan: Plan, limits: Limits, *, expect: int | None, dry_run: bool) -> None:
    """Raise `Stop` unless there is something to delete, and it may be deleted.

    The limits come before the dry run, so that a dry run is refused where the real one would be.
    """
    counts = plan.counts
    if expect is not None and counts.planned != expect:
        raise Refused(f"The plan has {counted(counts.planned, 'lead')}, not {expect:,} as expected.")
    if not counts.add_up:
        raise Refused(
            f"The numbers don't add up: {counted(counts.matched, 'lead matches', 'leads match')}; {counts.spared}, and "
            f"{counted(counts.planned, 'is', 'are')} planned. Either leads are changing very fast, or Close reads the "
            "query differently than we do. Try again; if the error persists, turn off the keep rules one by one to "
            "find the misread one."
        )
    if not counts.planned:
        raise Stop(Outcome.NOTHING_TO_DO, f"There are no leads to delete: {_why_none(counts)}.")
    if plan.ramped:
        check_limits(counts.without_ramp(limits.batch), limits, "Without the ramp, the plan would have")
    else:
        check_limits(counts, limits)
    if dry_run:
        raise Stop(Outcome.DRY_RUN, f"{counts.share} would be deleted.")
    if not plan.may_delete:
        raise Refused(f"{plan.seen_by} may not bulk delete: use the key of a user who may, such as an admin.")


def _why_none(counts: Counts) -> str:
    if not counts.matched:
        return "none matches"
    matched = f"{counted(counts.matched, 'lead')} matched"
    return f"{matched}; {counts.spared}" if counts.waiting else f"{matched}, all kept"


def check_limits(counts: Counts, limits: Limits, plan_has: str = "The plan has") -> None:
    """Raise `Refused`, with the numbers and the setting, if *counts* exceed *limits*."""
    planned, total = counts.planned, counts.total
    remedy = "Raise it, or set limits.batch to delete the oldest first."
    if planned >= total:
        raise Refused(f"{plan_has} every lead of the organisation ({total:,}): never allowed. Narrow the criteria.")
    if planned > limits.max_leads:
        raise Refused(
            f"{plan_has} {counted(planned, 'lead')}, more than limits.max_leads allows ({limits.max_leads:,}). {remedy}"
        )
    if planned > SMALL_PLAN and planned / total > limits.max_share:  # not share x total: 0.29 x 100 is less than 29
        raise Refused(
            f"{plan_has} {counts.share} ({_percent(planned / total, over=limits.max_share)}), more than "
            f"limits.max_share allows ({100 * limits.max_share:g}%). {remedy}"
        )


def _percent(share: float, over: float) -> str:
    """*share* as a percentage, with as many digits as show that it is *over* a limit."""
    digits = next((each for each in range(1, 9) if round(share, each + 2) > over), 9)
    return f"{share:.{digits}%}"
