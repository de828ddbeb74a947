"""Which runs need a person, by what Prefect says of them alone."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import DeploymentResponse
from prefect.states import AwaitingRetry, Cancelled, Completed, Crashed, Failed, Late, Pending, Running, Suspended

from tasks.runs import stop
from tasks.summary.attention import LATE, why_a_person
from tasks.summary.overview import Latest, is_paused, page

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
NO_WORKER = "No worker has picked it up."


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
        (Failed(name="Refused", message=f"{stop.STOPPED} Freeze until 7 January."), LATE, 1, ""),
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


@pytest.mark.parametrize(
    ("paused", "active", "is_off"),
    [(False, [], False), (False, [False, True], False), (False, [False], True), (True, [True], True), (True, [], True)],
)
def test_a_deployment_is_paused_as_a_whole_or_when_each_of_its_schedules_is(
    paused: bool, active: list[bool], is_off: bool
) -> None:
    schedules = [{"schedule": {"cron": "0 6 * * *"}, "active": each} for each in active]
    facts = {"name": "junk", "flow_id": uuid4(), "paused": paused, "schedules": schedules}

    assert is_paused(DeploymentResponse.model_validate(facts)) == is_off


def test_the_overview_begins_with_the_stop_and_marks_what_is_paused() -> None:
    """So that neither is forgotten."""
    found = [Latest("acme", "junk", paused=True), Latest("acme", "stale-leads")]

    text = page(found, f"{stop.STOPPED} Freeze until 7 January.")

    assert text.startswith(f"{stop.STOPPED} Freeze until 7 January.\n\n## Nobody is needed\n")
    assert "| junk (paused) | none yet |" in text
    assert "| stale-leads | none yet |" in text
