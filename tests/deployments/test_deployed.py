"""The deployments on a real server: registered by one command, run by a worker, on a schedule, no key in sight."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from deployed_runs import DEPLOYED, await_run, read_all, wait_for
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import IntervalSchedule
from restore.backups import delete, make_backup
from support.close_account import ADMIN, CloseAccount, lead

pytestmark = DEPLOYED


def test_all_cleanups_are_registered_with_their_schedules(deployed: str) -> None:
    found = {each["name"]: each for each in read_all(deployed, "deployments")}

    active = {name for name, each in found.items() if any(schedule["active"] for schedule in each["schedules"])}
    cleanups = {"stale-leads", "junk", "unreachable", "test-leads", "smart-view", "ad-hoc"}
    assert set(found) == {*cleanups, "restore-leads", "overview", "digest"}
    assert active == {"stale-leads", "unreachable", "test-leads", "overview", "digest"}
    assert found["ad-hoc"]["schedules"] == []


def test_a_schedule_creates_runs_and_a_worker_runs_them(worker: SyncPrefectClient, sandbox: CloseAccount) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"), lead("C"))
    junk = worker.read_deployment_by_name("lead-cleanup/junk")
    every_minute = IntervalSchedule(
        interval=timedelta(minutes=1), anchor_date=datetime.now(UTC) + timedelta(seconds=10)
    )

    [created] = worker.create_deployment_schedules(
        junk.id, [DeploymentScheduleCreate(schedule=every_minute, active=True, slug="minutely")]
    )
    run = await_run(worker, lambda each: bool(each.auto_scheduled) and each.deployment_id == junk.id)
    worker.delete_deployment_schedule(junk.id, created.id)

    assert (run.state_name, run.name) == ("DryRun", "junk: dry run: Junk")
    assert len(sandbox.leads()) == 3


def test_a_run_from_the_ui_deletes_and_leaves_its_evidence_but_never_the_key(
    worker: SyncPrefectClient, sandbox: CloseAccount
) -> None:
    """Overriding ``keep`` in a run replaces it whole; the plan says which rules of the deployment are lost.

    Neither that nor a limit lifted for this run is written to the deployment.
    """
    sandbox.add(lead("A", "Junk"), lead("B"), lead("C"))
    ad_hoc = worker.read_deployment_by_name("lead-cleanup/ad-hoc")

    started = worker.create_flow_run_from_deployment(
        ad_hoc.id,
        parameters={
            "match": {"status": ["Junk"]},
            "dry_run": False,
            "keep": {"won_opportunities": False},
            "limits": {"max_leads": 5000, "ramp": False},
        },
    )
    run = await_run(worker, lambda each: each.id == started.id)

    assert (run.state_name, run.name) == ("Deleted", "ad-hoc: delete: Junk")
    assert len(sandbox.leads()) == 2
    api = str(worker.api_url)
    artifacts = {each["key"]: each for each in read_all(api, "artifacts") if each["flow_run_id"] == str(run.id)}
    name = f"lead-cleanup-sandbox-inc-{sandbox.organization_id()[-6:].lower()}-ad-hoc"
    assert {name, f"{name}-counts", f"{name}-plan"} <= set(artifacts)
    plan = artifacts[f"{name}-plan"]["data"].replace("\\", "")
    for loosened in ("won opportunities off instead of on", "max leads 5,000 instead of 100"):
        assert f"Less careful than its deployment: {loosened}" in plan
    assert worker.read_deployment(ad_hoc.id).parameters == ad_hoc.parameters
    steps = wait_for(
        lambda: steps_of(api, run.id, "Find leads", "Start bulk delete"), lambda: "There are no such steps."
    )
    assert "Publish plan" in {each["label"] for each in steps}
    assert [each["label"] for each in steps if each["parents"] or "_" in each["label"]] == []
    for what in ("deployments", "flow_runs", "task_runs", "artifacts", "logs", "variables", "block_documents"):
        assert ADMIN not in json.dumps(read_all(api, what)), what


def steps_of(api: str, run_id: UUID, *wanted: str) -> list[dict[str, Any]] | None:
    """The steps in the graph of the run, once those *wanted* are among them: Prefect records them in batches."""
    nodes = httpx.get(f"{api.rstrip('/')}/flow_runs/{run_id}/graph-v2").json()["nodes"]
    steps = [node for _, node in nodes]
    return steps if {*wanted} <= {each["label"] for each in steps} else None


@pytest.mark.exhaustive
def test_a_worker_brings_leads_back(worker: SyncPrefectClient, sandbox: CloseAccount, tmp_path: Path) -> None:
    sandbox.add(lead("A"), lead("B"))
    backup = make_backup(sandbox, tmp_path)
    delete(sandbox)
    way_back = worker.read_deployment_by_name("restore-leads/restore-leads")

    started = worker.create_flow_run_from_deployment(way_back.id, parameters={"backup": str(backup), "dry_run": False})
    run = await_run(worker, lambda each: each.id == started.id)

    assert (run.state_name, run.name) == ("Restored", "restore")
    assert sorted(each["name"] for each in sandbox.leads().values()) == ["A", "B"]
