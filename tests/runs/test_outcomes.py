"""How runs end: what the shell, Prefect and people are told."""

import pickle
from typing import Any

import pytest

from tasks.report.model import HEADLINES
from tasks.runs.outcomes import Outcome, Refused, Stop

# outcome: (Completed?, exit code, state's name)
ENDS: dict[Outcome, tuple[bool, int, str]] = {
    Outcome.NOTHING_TO_DO: (True, 0, "NothingToDo"),
    Outcome.DRY_RUN: (True, 0, "DryRun"),
    Outcome.SKIPPED: (True, 0, "Skipped"),
    Outcome.DELETED: (True, 0, "Deleted"),
    Outcome.RESTORED: (True, 0, "Restored"),
    Outcome.FAILED: (False, 1, "Failed"),
    Outcome.REFUSED: (False, 3, "Refused"),
    Outcome.DECLINED: (False, 3, "Declined"),
    Outcome.EXPIRED: (False, 3, "Expired"),
    Outcome.STILL_RUNNING: (False, 4, "StillRunning"),
    Outcome.UNKNOWN: (False, 5, "Unknown"),
    Outcome.CANCELLED: (False, 6, "Cancelled"),
    Outcome.SUSPENDED: (False, 6, "Suspended"),
}


@pytest.mark.parametrize("outcome", Outcome)
def test_every_end_has_its_meaning(outcome: Outcome):
    assert (outcome.good, outcome.exit_code, outcome.state_name) == ENDS[outcome]
    assert HEADLINES[outcome]


@pytest.mark.parametrize("stop", [Stop(Outcome.UNKNOWN, "Look at it."), Refused("Too many.")])
def test_a_stop_says_its_message_also_after_a_journey(stop: Stop):
    """Prefect pickles exceptions."""
    copy: Any = pickle.loads(pickle.dumps(stop))

    assert type(copy) is type(stop)
    assert str(copy) == copy.message == stop.message
    assert copy.outcome is stop.outcome
