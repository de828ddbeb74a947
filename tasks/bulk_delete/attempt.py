"""Whether an attempt of a run may continue: nothing is stopped, it isn't too late, and it isn't retried for ever."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.client.schemas.objects import State

from tasks.criteria.policy import Limits
from tasks.ledger.record import Record
from tasks.runs import stop
from tasks.runs.attempts import ended_before, last_asked, left_suspended, retries_by_automation, states_of
from tasks.runs.outcomes import Outcome, Stop
from tasks.runs.own_state import Suspended
from tasks.runs.retries import reads
from tasks.runs.run import Run, check_organization

MOST_RETRIES = 5
"""How often in a row an automation may retry a run before a person must look."""


@reads
def check_attempt(run: Run, record: Record | None, limits: Limits) -> None:
    """Raise `Stop` if this attempt of *run* must not continue. *record* is what an earlier attempt has claimed."""
    claimed = None if record is None or record.may_plan_again else record
    states = states_of(run)
    _check_states(states, claimed)
    if claimed is None:
        stop.check()
        check_organization(run)
        late = lateness(run, retries_by_automation(states), datetime.now(UTC), last_asked(states))
        if late > timedelta(hours=limits.max_late_hours):  # so that no burst of runs follows an outage
            raise Stop(
                Outcome.SKIPPED,
                f"This run starts {_hours(late)} hours after it was due, later than limits.max_late_hours allows "
                f"({limits.max_late_hours}). The next scheduled run will cover it.",
            )


def _hours(late: timedelta) -> str:
    """*late* in hours, rounded up: what is over a limit doesn't look as if it weren't."""
    return f"{math.ceil(late / timedelta(minutes=6)) / 10:.1f}"


@reads
def check_may_retry(run: Run) -> None:
    """Raise `Stop` if an automation retries a restore that hadn't crashed, or that crashes again and again.

    Raises `Suspended` if a person has left it so, and `Refused` for another organisation than its deployment's.
    """
    _check_states(states_of(run), None)
    check_organization(run)


def _check_states(states: Sequence[State[Any]], record: Record | None) -> None:
    if left_suspended(states):
        raise Suspended
    check_crashed(ended_before(states), record)
    if retries_by_automation(states) > MOST_RETRIES:
        started = record and record.bulk_delete_id
        raise Stop(
            Outcome.STILL_RUNNING if started else Outcome.UNKNOWN if record else Outcome.FAILED,
            f"This run has crashed and was retried {MOST_RETRIES} times in a row: its log says why. Fix that, then "
            "retry it: it starts nothing twice.",
        )


def check_crashed(ended: State[Any] | None, record: Record | None) -> None:
    """Raise `Stop`, with the outcome it had, if an automation retries a run that had *ended* other than by a crash.

    What was started is waited for all the same, unless a person has cancelled the run.
    """
    if ended is None or (record and not ended.is_cancelled()):
        return
    outcome = next((each for each in Outcome if each.state_name == ended.name), Outcome.FAILED)
    raise Stop(outcome, ended.message or "An automation retried this run although it had finished.")


def lateness(run: Run, retries: int, now: datetime, asked: datetime | None = None) -> timedelta:
    """How late *run* is: by its first start; or *now*, if an automation retries it, maybe after days of outage.

    Then it was due when a person last *asked* for it: an approval may come days after the plan.
    """
    return now - (asked or run.as_of) if retries else run.late
