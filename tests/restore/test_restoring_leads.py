"""Leads come back with everything that can come back, and nothing twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry
from restore.backups import BackUp, delete, export, field_by_field, rich
from support.attempts import suspend, wait_until
from support.close_account import CloseAccount, lead

from flows.restore_leads import restore_leads
from tasks.report.artifacts import artifacts_of, recall_report
from tasks.restore import create
from tasks.restore.plan import plan_restore
from tasks.restore.report import read
from tasks.runs.alive import Superseded

pytestmark = pytest.mark.server

Restore = Callable[..., Any]


@pytest.mark.parametrize("leads", [60, pytest.param(1000, marks=pytest.mark.exhaustive)])
def test_leads_that_are_deleted_and_restored_are_the_same_field_by_field(
    leads: int, sandbox: CloseAccount, back_up: BackUp, restore: Restore
) -> None:
    """But for what is named as lost: see LOST in backups.py, and in the report."""
    sandbox.reset(leads=leads)
    sandbox.add(rich("Acme"), rich("Acme"), lead("", contacts=[{"name": "Only"}]))
    before = export(sandbox)
    backup = back_up()
    delete(sandbox)
    assert sandbox.leads() == {}

    report = restore(backup, dry_run=False)

    assert (report.outcome, report.message) == (
        "restored",
        f"Restored {leads + 3:,} leads, with everything that can come back.",
    )
    after = export(sandbox)
    assert len(after) == leads + 3
    assert field_by_field(after) == field_by_field(before)
    assert not {each["id"] for each in after} & {each["id"] for each in before}


class CountedSet(set[str]):
    """Counts how often it is copied into a union."""

    unions = 0

    def __or__(self, other: Any) -> set[Any]:
        self.unions += 1
        return super().__or__(other)


def test_what_close_still_has_is_copied_once_and_not_for_each_lead(sandbox: CloseAccount, back_up: BackUp) -> None:
    """Or fifty thousand leads would take minutes."""
    sandbox.add(*(lead(str(n)) for n in range(20)))
    plan = plan_restore.fn(str(back_up()), [], {})
    still_in_close = plan.found.still_in_close = CountedSet(plan.found.still_in_close)

    done = create.restore.fn(plan)

    assert (len(still_in_close), still_in_close.unions) == (20, 1)
    assert (done.created, done.problem) == ({}, None)


def test_it_goes_at_the_rate_that_close_allows(sandbox: CloseAccount, back_up: BackUp, restore: Restore) -> None:
    """Twelve requests a second of each kind; whoever asks for more gets 429."""
    sandbox.add(*(lead(str(n), activities=[{"_type": "Note", "note": "n"}]) for n in range(20)))
    backup = back_up()
    delete(sandbox)
    sandbox.forget_requests()
    httpx.post(f"{sandbox.base}/sandbox/limits", json={"enabled": True, "scale": 0.05, "window_seconds": 1})

    report = restore(backup, dry_run=False)

    httpx.post(f"{sandbox.base}/sandbox/limits", json={"enabled": False})
    refused = [each for each in sandbox.requests() if each["status"] == 429]
    assert (report.outcome, len(sandbox.leads())) == ("restored", 20)
    assert len(refused) <= 2  # the sandbox counts reads and writes of leads as one kind, the client as two


def test_the_report_is_kept_as_an_artifact_without_names(
    sandbox: CloseAccount, back_up: BackUp, restore: Restore
) -> None:
    sandbox.add(rich("Acme"))
    backup = back_up()
    delete(sandbox)

    report = restore(backup, dry_run=False)

    found = {each.key: str(each.data) for each in artifacts_of(UUID(report.flow_run_id))}
    name = f"lead-cleanup-sandbox-inc-{sandbox.organization_id()[-6:].lower()}-restore"
    assert set(found) == {name, f"{name}-counts"}
    assert "e-mail threads" in found[name]
    assert "Opportunities" in found[f"{name}-counts"]
    assert "Acme" not in str(found)
    assert "Ann Other" not in str(found)


def test_a_restore_that_is_suspended_and_retried_before_it_noticed_leaves_the_rest_to_the_later_attempt(
    sandbox: CloseAccount, back_up: BackUp, prefect_server: str
) -> None:
    sandbox.add(*(lead(f"lead {number}") for number in range(30)))
    backup = back_up()
    delete(sandbox)
    sandbox.forget_requests()
    sandbox.fault("POST", "/lead/", "delay", times=1000, seconds=0.2)
    parameters = {"backup": str(backup), "dry_run": False}
    with get_client(sync_client=True) as prefect, ThreadPoolExecutor() as elsewhere:
        run = prefect.create_flow_run(restore_leads, parameters=parameters)
        first = elsewhere.submit(run_flow, restore_leads, flow_run=run, parameters=parameters)
        wait_until(lambda: len(sandbox.posts("/lead/")) > 2)
        suspend(run.id)
        prefect.set_flow_run_state(run.id, AwaitingRetry(), force=True)
        again = run_flow(
            restore_leads, flow_run=prefect.read_flow_run(run.id), parameters=parameters, return_type="state"
        )
        with pytest.raises(Superseded):
            first.result()

    assert (again.name, len(sandbox.leads()), len(sandbox.posts("/lead/"))) == ("Restored", 30, 30)  # pyright: ignore


def test_a_restore_that_a_person_suspends_stops_and_goes_on_where_it_was(
    sandbox: CloseAccount, back_up: BackUp, prefect_server: str
) -> None:
    """It looks at its own run while it creates: Prefect sends no signal for a suspension."""
    sandbox.add(*(lead(f"lead {number}") for number in range(30)))
    backup = back_up()
    delete(sandbox)
    sandbox.forget_requests()
    sandbox.fault("POST", "/lead/", "delay", times=1000, seconds=0.2)
    parameters = {"backup": str(backup), "dry_run": False}
    with get_client(sync_client=True) as prefect:
        run = prefect.create_flow_run(restore_leads, parameters=parameters)
        with ThreadPoolExecutor() as elsewhere:
            ends = elsewhere.submit(run_flow, restore_leads, flow_run=run, parameters=parameters)
            wait_until(lambda: len(sandbox.posts("/lead/")) > 2)
            suspend(run.id)
            with pytest.raises(Pause):
                ends.result()
        so_far, report = len(sandbox.leads()), read(recall_report(run.id))
        sandbox.clear_faults()
        prefect.set_flow_run_state(run.id, AwaitingRetry(), force=True)
        again = run_flow(
            restore_leads, flow_run=prefect.read_flow_run(run.id), parameters=parameters, return_type="state"
        )

    assert 2 < so_far < 30
    assert (report.outcome, f"Restored so far: {so_far} leads." in report.message) == ("suspended", True)
    assert (again.name, len(sandbox.leads()), len(sandbox.posts("/lead/"))) == ("Restored", 30, 30)  # pyright: ignore
