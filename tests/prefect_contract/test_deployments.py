"""What the deployments rest on: schedules that fire when they say, and parameters that are checked.

Each test says in its assertion what of ours would break. That `prefect deploy` and the scheduler work at all with the
FastAPI and SQLAlchemy that are installed is seen by tests/deployments, which deploys the real prefect.yaml.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import contract_flows
import pytest
from contract_runs import Deploy, Lives, Notes, wait_for
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.exceptions import PrefectHTTPStatusError

pytestmark = [pytest.mark.server, pytest.mark.exhaustive, pytest.mark.xdist_group("prefect_contract")]

TICK = timedelta(minutes=1)  # a shorter one would start a process more for every tick that the test takes
WRONG = [{"rules": {"max_lead": 1}}, {"rules": {"max_leads": "many"}}, {"dry_run": "perhaps"}]


def scheduled(prefect: SyncPrefectClient, deployment_id: UUID) -> list[FlowRun]:
    """The runs that the scheduler has made, once it has made some."""
    mine = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    return wait_for(
        "The scheduler makes no runs, and cleanups would never start: does Prefect support this SQLAlchemy?",
        lambda: prefect.read_flow_runs(deployment_filter=mine),
    )


def test_a_schedule_fires_and_the_expected_start_is_what_it_says(
    prefect: SyncPrefectClient, deploy: Deploy, lives: Lives, tmp_path: Path
) -> None:
    """Rests on it: the cut-off is the tick of the schedule, however late the worker gets to it."""
    file = tmp_path / "notes"
    anchor = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=10)
    every_tick = IntervalSchedule(interval=TICK, anchor_date=anchor)

    deployment_id = deploy(contract_flows.prompt, "interval", every_tick, notes=str(file))
    expected = {run.expected_start_time for run in scheduled(prefect, deployment_id)}
    fired = Notes(file).first("start")
    for schedule in prefect.read_deployment_schedules(deployment_id):
        prefect.delete_deployment_schedule(deployment_id, schedule.id)

    assert {(start.timestamp() - anchor.timestamp()) % TICK.total_seconds() for start in expected if start} == {0}, (
        "The scheduler makes runs between its ticks: cleanups start when nobody expects them."
    )
    assert fired.expected_start in expected, (
        "A scheduled run's own expected start isn't its tick: tasks/runs/run.py's cut-off isn't the schedule's."
    )


def test_a_cron_schedule_goes_by_its_time_zone(prefect: SyncPrefectClient, deploy: Deploy) -> None:
    """Rests on it: a cleanup that is scheduled for the night runs at night, in summer and in winter."""
    mondays = CronSchedule(cron="0 3 * * 1", timezone="Europe/Berlin")

    runs = scheduled(prefect, deploy(contract_flows.prompt, "cron", mondays))

    starts = [run.expected_start_time.astimezone(ZoneInfo("Europe/Berlin")) for run in runs if run.expected_start_time]
    assert {(start.isoweekday(), start.hour, start.minute) for start in starts} == {(1, 3, 0)}, (
        "A cron schedule doesn't go by its time zone: the times in prefect.yaml are not when cleanups run."
    )


@pytest.mark.parametrize("wrong", WRONG)
def test_the_server_refuses_a_parameter_of_the_wrong_kind(
    prefect: SyncPrefectClient, deploy: Deploy, wrong: dict[str, Any]
) -> None:
    """Rests on it: a rule that is misspelt in the UI or on the command line is said at once, not at three at night."""
    deployment_id = deploy(contract_flows.prompt)

    try:
        prefect.create_flow_run_from_deployment(deployment_id, parameters={"notes": "", **wrong})
    except PrefectHTTPStatusError as error:
        assert error.response.status_code == 409  # noqa: PT017 - the sentence is in the other branch
    else:
        raise AssertionError(
            f"The server takes {wrong}: `enforce_parameter_schema` no longer checks, and a mistake in the form shows "
            "only when the run starts."
        )


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("wrong", WRONG)
def test_the_engine_refuses_a_parameter_of_the_wrong_kind_before_the_body(
    wrong: dict[str, Any], tmp_path: Path
) -> None:
    """Rests on it: what the server can't check, or was never asked to, is checked before anything is done."""
    file = tmp_path / "notes"
    given: dict[str, Any] = {"notes": str(file), **wrong}

    state = contract_flows.prompt(**given, return_state=True)

    assert state.is_failed(), f"A run with {wrong} doesn't fail: our parameters are no longer validated."
    assert not file.exists(), f"A run with {wrong} runs its body: our parameters are validated too late."
