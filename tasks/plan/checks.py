"""The checks that stop a plan before anything is deleted. Pure."""

from datetime import datetime, timedelta

from tasks.criteria.policy import Limits
from tasks.plan.model import Counts, Plan
from tasks.runs.outcomes import Outcome, Refused, Stop

SMALL_PLAN = 20  # leads; a share says nothing about a plan this small
TOLD_LATE = timedelta(seconds=2)
"""How far behind its own clock a server may tell the time: to the second, and often renewed once a second only."""


def check_clocks(as_of: datetime, theirs: datetime | None) -> None:
    """Raise `Refused` if the cut-off lies ahead of Close's clock: until then an edited lead would not be spared."""
    if theirs and as_of > theirs + TOLD_LATE:
        ahead = (as_of - theirs).total_seconds()
        raise Refused(
            f"The cut-off of this run lies {ahead:,.0f} seconds ahead of Close's clock: leads edited until then would "
            "not be spared. Set the clocks of the Prefect server and its workers right, and start a new run."
        )


def decide(plan: Plan, limits: Limits, *, expect: int | None, dry_run: bool) -> None:
    """Raise `Stop` unless there is something to delete, and it may be deleted.

    Refuses over a limit before it says that this was a dry run: a dry run shows what the real one would do.
    """
    counts = plan.counts
    if expect is not None and counts.planned != expect:
        raise Refused(f"{counts.planned} leads are planned, but {expect} were expected.")
    if not counts.add_up:
        raise Refused(
            f"The numbers don't add up: {counts.matched} matched, but {counts.kept['total']} kept and {counts.planned} "
            "left. Either leads are changing very fast, or Close reads the query in another way than we do. Try again; "
            "if it stays so, turn off the keep rules one by one to find the one that is misread."
        )
    if not counts.planned:
        raise Stop(Outcome.NOTHING_TO_DO, _nothing(counts))
    if plan.ramped:
        check_limits(counts.without_ramp(limits.batch), limits, said="would be planned without the ramp")
    else:
        check_limits(counts, limits)
    if dry_run:
        raise Stop(Outcome.DRY_RUN, f"{counts.planned:,} of {counts.total:,} leads would be deleted.")
    if not plan.may_delete:
        raise Refused(f"{plan.seen_by} may not bulk delete: use the key of a user who may, such as an admin.")


def _nothing(counts: Counts) -> str:
    kept = f"{counts.matched} match, and all of them are kept" if counts.matched else "none matches"
    return f"No lead is to be deleted: {kept}."


def check_limits(counts: Counts, limits: Limits, *, said: str = "are planned") -> None:
    """Raise `Refused`, with the numbers and the setting, if *counts* go over *limits*."""
    planned, total = counts.planned, counts.total
    if planned >= total:
        raise Refused(f"All {total} leads of the organisation {said}. That is never done; narrow the criteria.")
    if planned > limits.max_leads:
        raise Refused(
            f"{planned:,} leads {said}, more than limits.max_leads allows ({limits.max_leads:,}). "
            "Raise it, or set limits.batch to delete the oldest first."
        )
    if planned > SMALL_PLAN and planned / total > limits.max_share:  # not share x total: 0.29 x 100 is less than 29
        raise Refused(
            f"{planned:,} of {total:,} leads {said} ({planned / total:.1%}), more than limits.max_share allows "
            f"({limits.max_share:.1%}). Raise it, or set limits.batch to delete the oldest first."
        )
