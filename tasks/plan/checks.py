"""The checks that stop a plan before anything is deleted. Pure."""

from datetime import datetime, timedelta

from tasks.criteria.policy import Limits
from tasks.plan.model import Counts, OverLimit, Plan
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

    A dry run is refused where the real one would be, except over a limit: then it shows by how much.
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
    judged = without_ramp(counts, limits, plan.ramped)
    plan_has = "Without the ramp, the plan would have" if plan.ramped else "The plan has"
    check_not_all(judged, plan_has)
    if dry_run:
        over = " and ".join(each.setting for each in over_limits(judged, limits))
        later = judged.planned - counts.planned
        but = f" now, and {later:,} by later runs; together" if later else ", but"
        refused = f"{but} that is over {over}: a run that deletes would be refused" if over else ""
        raise Stop(Outcome.DRY_RUN, f"{counts.share} would be deleted{refused}.")
    check_limits(judged, limits, plan_has)
    if not plan.may_delete:
        raise Refused(f"{plan.seen_by} may not bulk delete: use the key of a user who may, such as an admin.")


def _why_none(counts: Counts) -> str:
    if not counts.matched:
        return "none matches"
    matched = f"{counted(counts.matched, 'lead')} matched"
    return f"{matched}; {counts.spared}" if counts.waiting else f"{matched}, all kept"


def without_ramp(counts: Counts, limits: Limits, ramped: bool) -> Counts:
    """The numbers that limits are compared with: if the plan is *ramped*, those of the plan that it will become."""
    return counts.without_ramp(limits.batch) if ramped else counts


def over_limits(counts: Counts, limits: Limits) -> tuple[OverLimit, ...]:
    """The *limits* that *counts* exceed."""
    planned, share = counts.planned, counts.planned / max(counts.total, 1)
    found: list[OverLimit] = []
    if planned > limits.max_leads:
        found.append(OverLimit(setting="limits.max_leads", allowed=limits.max_leads, found=planned))
    if planned > SMALL_PLAN and share > limits.max_share:  # not share x total: 0.29 x 100 is less than 29
        found.append(OverLimit(setting="limits.max_share", allowed=limits.max_share, found=share))
    return tuple(found)


def check_not_all(counts: Counts, plan_has: str) -> None:
    """Raise `Refused` if every lead of the organisation is planned."""
    if counts.planned >= counts.total:
        total = f"({counts.total:,})"
        raise Refused(f"{plan_has} every lead of the organisation {total}: never allowed. Narrow the criteria.")


def check_limits(counts: Counts, limits: Limits, plan_has: str = "The plan has") -> None:
    """Raise `Refused`, with the numbers and the setting, if *counts* exceed *limits*."""
    if over := next(iter(over_limits(counts, limits)), None):
        if over.setting == "limits.max_leads":
            much, allowed = counted(counts.planned, "lead"), f"{limits.max_leads:,}"
        else:
            much = f"{counts.share} ({_percent(over.found, over=over.allowed)})"
            allowed = f"{100 * limits.max_share:g}%"
        raise Refused(
            f"{plan_has} {much}, more than {over.setting} allows ({allowed}). "
            "Raise it, or set limits.batch to delete the oldest first."
        )


def _percent(share: float, over: float) -> str:
    """*share* as a percentage, with as many digits as show that it is *over* a limit."""
    digits = next((each for each in range(1, 9) if round(share, each + 2) > over), 9)
    return f"{share:.{digits}%}"
