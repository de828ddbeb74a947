"""automations.yaml as it stands: nobody else's runs, no healthy runs, and not for ever."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from deployments import automations, deploy
from tasks.approval.ask import ASKED, EXPIRES_AFTER
from tasks.bulk_delete.attempt import MOST_RETRIES
from tasks.runs.attempts import BY_AUTOMATION, BY_EXPIRY
from tasks.runs.events import PREFIX
from tasks.runs.run import TAG

SILENT, DEAD, CRASHED, NEVER_BEGINS, EXPIRES = automations.read()


def trigger_of(automation: AutomationCore) -> EventTrigger:
    assert isinstance(automation.trigger, EventTrigger)
    return automation.trigger


def action_of(automation: AutomationCore) -> ChangeFlowRunState:
    [action] = automation.actions
    assert isinstance(action, ChangeFlowRunState)
    return action


def heartbeat() -> timedelta:
    """How often the runs of our deployments send one."""
    document: dict[str, Any] = yaml.safe_load((deploy.ROOT / "prefect.yaml").read_text())
    [seconds] = {
        each["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]
        for each in document["deployments"]
    }
    return timedelta(seconds=int(seconds))


@pytest.mark.parametrize("automation", automations.read(), ids=lambda each: each.name)
def test_it_sees_runs_of_ours_one_by_one_and_nobody_elses(automation: AutomationCore):
    trigger = trigger_of(automation).model_dump()

    assert trigger["match"] == {"prefect.resource.id": "prefect.flow-run.*"}
    assert trigger["match_related"] == {
        "prefect.resource.role": "tag",
        "prefect.resource.id": f"prefect.tag.{TAG}",
    }
    assert "prefect.resource.id" in trigger["for_each"]


@pytest.mark.parametrize("automation", automations.read(), ids=lambda each: each.name)
def test_it_never_forces_a_state_on_a_run(automation: AutomationCore):
    """By force, a run that has ended, or that a person has cancelled, could be called crashed after all."""
    assert action_of(automation).force is False


@pytest.mark.parametrize("automation", [SILENT, CRASHED], ids=lambda each: each.name)
def test_it_waits_for_three_heartbeats_and_for_any_sign_of_life(automation: AutomationCore):
    trigger = trigger_of(automation)

    assert trigger.posture == Posture.Proactive
    assert trigger.expect == {"prefect.flow-run.*"}
    assert trigger.within >= 3 * heartbeat()


def test_only_a_run_that_was_alive_is_called_crashed():
    assert trigger_of(SILENT).after == {"prefect.flow-run.heartbeat"}
    assert trigger_of(DEAD).expect == {f"prefect.flow-run.{action_of(SILENT).name}"}
    assert trigger_of(DEAD).posture == Posture.Reactive
    assert action_of(DEAD).state == StateType.CRASHED


def test_a_heartbeat_that_comes_after_a_suspension_makes_no_crash():
    """Prefect pauses only a run that is running: tests/prefect_contract/test_triggers.py. So a first step to a crash is
    a pause, and a run that a person has suspended, that has ended or is being cancelled stays as it is.
    """
    assert action_of(SILENT).state == StateType.PAUSED
    assert trigger_of(DEAD).after == set()


def test_only_a_crashed_run_is_tried_again_and_knows_by_whom():
    action = action_of(CRASHED)

    assert trigger_of(CRASHED).after == {"prefect.flow-run.Crashed"}
    assert (action.state, action.name) == (StateType.SCHEDULED, "AwaitingRetry")
    assert action.message == BY_AUTOMATION


def test_a_run_that_never_begins_has_as_many_tries_as_one_that_does():
    """The flow counts its tries itself; a run that crashes before that would be tried again for ever."""
    trigger = trigger_of(NEVER_BEGINS)
    retries_take = MOST_RETRIES * (trigger_of(CRASHED).within + timedelta(minutes=2))

    assert trigger.posture == Posture.Reactive
    assert trigger.expect == {"prefect.flow-run.Crashed"}
    assert trigger.threshold == MOST_RETRIES + 1
    assert trigger.for_each == {"prefect.resource.id", "prefect.run-count"}
    assert trigger.within >= retries_take
    assert action_of(NEVER_BEGINS).state == StateType.FAILED


def test_a_request_expires_before_prefect_fails_the_run_and_the_run_knows_why():
    """Prefect lets nobody leave a suspended state whose time is over: the run couldn't say that it has expired."""
    trigger, action = trigger_of(EXPIRES), action_of(EXPIRES)

    assert trigger.posture == Posture.Proactive
    assert trigger.after == {PREFIX + ASKED}
    assert timedelta(minutes=15) <= EXPIRES_AFTER - trigger.within <= timedelta(hours=1)
    assert (action.state, action.message) == (StateType.SCHEDULED, BY_EXPIRY)


def test_a_request_does_not_expire_once_it_is_answered_or_ended_and_no_suspension_or_heartbeat_counts():
    """A person suspends runs too, and the last heartbeat of the run that asks may come after its request."""
    expected = trigger_of(EXPIRES).expect

    ends = {"Resuming", "Cancelled", "Expired", "Failed", "Crashed", "Completed", "AwaitingRetry"}
    assert {f"prefect.flow-run.{name}" for name in ends} <= expected
    assert not any(each.endswith(("*", ".Suspended", ".heartbeat")) for each in expected)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("automations: [", "file.yaml is not YAML (line 1, column 15)."),
        (
            "automations: []\nautomations: []",
            "file.yaml has the key 'automations' twice, on lines 1 and 2: remove one.",
        ),
        ("", "file.yaml has no list called automations."),
        ("automations:", "file.yaml has no list called automations."),
        ("automations: [{name: x}]", "file.yaml has an automation that isn't one: trigger: it is missing;"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_in_one_sentence(text: str, sentence: str, tmp_path: Path):
    file = tmp_path / "file.yaml"
    file.write_text(text)

    with pytest.raises(automations.WrongFile) as raised:
        automations.read(file)

    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)
