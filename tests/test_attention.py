"""Which runs need a person, by what Prefect says of them alone."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import AwaitingRetry, Cancelled, Completed, Crashed, Failed, Late, Pending, Running, Suspended

from tasks.summary.attention import LATE, why_a_person

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
NO_WORKER = "No worker has taken it up."


def run(state: State[Any], due: timedelta, attempts: int = 0) -> FlowRun:
    facts = {"flow_id": uuid4(), "state": state, "expected_start_time": NOW - due, "run_count": attempts}
    return FlowRun.model_validate(facts)


@pytest.mark.parametrize(
    ("state", "due", "attempts", "why"),
    [
        (Completed(), LATE * 2, 1, ""),
        (Cancelled(), LATE * 2, 1, ""),
        (Running(), LATE * 2, 1, ""),
        (Failed(message="Close has no status 'Jnk'."), LATE, 1, "Close has no status 'Jnk'."),
        (Failed(), LATE, 1, "It failed."),
        (Crashed(message="Its process was killed."), LATE, 1, "Its process was killed."),
        (Suspended(message="Waits for approval: 50 leads"), LATE, 1, "Waits for approval: 50 leads"),
        (Late(), LATE * 2, 0, NO_WORKER),
        (Pending(), LATE * 2, 0, NO_WORKER),
        (Late(), LATE / 2, 0, ""),
        (AwaitingRetry(), LATE * 2, 1, ""),
    ],
    ids=lambda each: each.name if isinstance(each, State) else None,
)
def test_what_has_failed_waits_or_never_began_needs_a_person(
    state: State[Any], due: timedelta, attempts: int, why: str
) -> None:
    assert why_a_person(run(state, due, attempts), NOW) == why
