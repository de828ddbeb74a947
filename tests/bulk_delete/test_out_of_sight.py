"""Once Close deletes, a run that is kept from looking says that Close continues, for any reason and at any step."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from faults.happening import PARAMETERS, STAGES
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import VariableCreate
from support.attempts import tried_again
from support.close_account import OTHER, CloseAccount, lead
from support.terminal_session import Command

from tasks.ledger import store as ledger
from tasks.ledger.record import Record, name_of
from tasks.runs import connect, stop

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("fake_clock")]
MORE = pytest.mark.exhaustive

Run = Callable[..., Any]
BULK_DELETE = "/bulk_action/delete/"
JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "dry_run": False, "backup": False}
SHORT: dict[str, Any] = {**JUNK, "limits": {"max_wait_minutes": 1}}


@pytest.fixture
def close(sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch) -> CloseAccount:
    """A bulk delete that doesn't get on, in a process that hasn't asked yet whose key it is."""
    sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"))
    sandbox.jobs(stall_after=1)
    monkeypatch.setattr(connect, "_known", {})
    return sandbox


def refuses(close: CloseAccount, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """Close refuses the key, wherever it is asked first; or the settings do."""
    monkeypatch.setattr(connect, "_known", {})
    match why:
        case "revoked":
            close.fault("GET", "/", "status", times=100, status=401)
        case "not allowed":
            close.fault("GET", BULK_DELETE, "status", times=100, status=403)
        case "missing":
            monkeypatch.setenv("CLOSE_API_KEY", "")
        case _:
            monkeypatch.setenv("CLOSE_API_KEY", OTHER)


@pytest.mark.parametrize(
    "why",
    ["revoked", *(pytest.param(each, marks=MORE) for each in ("not allowed", "missing", "of another organisation"))],
)
def test_a_retry_whose_key_is_refused_is_still_running(
    close: CloseAccount, run_cleanup: Run, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    first = run_cleanup(**SHORT).report
    refuses(close, monkeypatch, why)

    again = tried_again(first.flow_run_id)

    assert (first.outcome, again.outcome) == ("still_running", "still_running")
    assert again.bulk_delete_id == first.bulk_delete_id
    assert f"Close continues bulk delete {first.bulk_delete_id}, unless it is paused" in again.message
    assert "Retry this run to keep waiting; it will not start another one." in again.message


def test_a_retry_that_may_not_resume_what_is_paused_is_still_running(close: CloseAccount, run_cleanup: Run) -> None:
    first = run_cleanup(**SHORT).report
    close.put(f"{BULK_DELETE}{first.bulk_delete_id}/", status="paused")
    stop.put("importing")

    again = tried_again(first.flow_run_id)

    assert again.outcome == "still_running"
    assert "Cleanups are stopped: importing." in again.message


def test_once_it_has_ended_a_refused_key_is_a_failure_that_says_how_it_ended(
    sandbox: CloseAccount, run_cleanup: Run
) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.jobs(created_seconds=0.02, loading_seconds=0.02)
    sandbox.fault("POST", "/data/search/", "status", times=100, status=403, after=STAGES[-1].after)

    report = run_cleanup(**PARAMETERS).report

    assert report.outcome == "failed"
    assert f"Bulk delete {report.bulk_delete_id} is done, after 1 of 1 lead, but what is left" in report.message


# --- stop --running ---------------------------------------------------------------------------------------------------


def claimed_by_others(close: CloseAccount, record: Record, **changes: object) -> Record:
    """The open claim of one more run."""
    other = record.model_copy(update={"run_id": UUID(int=record.run_id.int ^ 1), "ended": None, **changes})
    return ledger.claim(other)


def out_of_patience(run_cleanup: Run) -> Record:
    """The record of a run that has stopped waiting for its bulk delete."""
    record = ledger.read(UUID(run_cleanup(**SHORT).report.flow_run_id))
    assert record
    return record


def spoil_record(run_id: str) -> str:
    name = name_of(UUID(run_id), 1)
    with get_client(sync_client=True) as prefect:
        prefect.create_variable(VariableCreate(name=name, value="edited", tags=["lead-cleanup", "unresolved"]))
    return name


def test_stop_running_asks_all_whatever_becomes_of_one(
    close: CloseAccount, run_cleanup: Run, lead_cleanup: Command
) -> None:
    """An unreadable claim, one that Close doesn't know, a bulk delete that can't be asked, and one that can."""
    record = out_of_patience(run_cleanup)
    gone = claimed_by_others(close, record, bulk_delete_id="bulkdelete_gone")
    unreadable = spoil_record("00000000-0000-0000-0000-000000000000")

    stopped = lead_cleanup("stop", "why", "--running")

    assert stopped.code == 1
    assert f"{record.bulk_delete_id} is paused at 1 of 2 leads." in stopped.out
    assert str(gone.run_id) in stopped.out
    assert "Not known to be paused: bulkdelete_gone; " in stopped.err
    assert unreadable in stopped.err
    assert str(record.bulk_delete_id) not in stopped.err
    assert close.get(f"{BULK_DELETE}{record.bulk_delete_id}/")["status"] == "paused"


def test_stop_running_names_what_a_refused_key_can_not_pause(
    close: CloseAccount, run_cleanup: Run, lead_cleanup: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_cleanup(**SHORT).report
    refuses(close, monkeypatch, "revoked")

    stopped = lead_cleanup("stop", "why", "--running")

    assert stopped.code == 1
    assert "CLOSE_API_KEY" in stopped.out
    assert f"Not known to be paused: {first.bulk_delete_id}." in stopped.err


def test_stop_running_does_not_vouch_for_another_organisation(
    close: CloseAccount, run_cleanup: Run, lead_cleanup: Command
) -> None:
    record = out_of_patience(run_cleanup)
    claimed_by_others(close, record, organization_id="orga_other", bulk_delete_id="bulkdelete_other")

    stopped = lead_cleanup("stop", "why", "--running")

    assert stopped.code == 1
    assert "Not asked, in another organisation: " in stopped.out
    assert "Not known to be paused: bulkdelete_other." in stopped.err


def test_stop_running_does_not_vouch_for_a_claim_that_may_be_about_to_start(
    close: CloseAccount, run_cleanup: Run, lead_cleanup: Command
) -> None:
    close.fault("POST", BULK_DELETE, "drop_before")
    report = run_cleanup(**JUNK).report

    stopped = lead_cleanup("stop", "why", "--running")

    assert report.outcome == "unknown"
    assert stopped.code == 1
    assert "It may be about to start: repeat this in two minutes." in stopped.out
    assert f"Not known to be paused: what run {report.flow_run_id} has claimed." in stopped.err
