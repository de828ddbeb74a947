"""Yesterday's copy of the Prefect database: it knows nothing of what was deleted since. As docs/database.md says."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployed_runs import DEPLOYED, PrefectServer
from prefect.client.orchestration import SyncPrefectClient
from prefect.concurrency.services import ConcurrencySlotAcquisitionWithLeaseService
from support.attempts import attempt, created
from support.close_account import CloseAccount, lead
from support.prefect_database import back_up
from support.terminal_session import Command

from tasks.ledger.record import PREFIX

pytestmark = DEPLOYED

BULK_DELETE = "/bulk_action/delete/"
JUNK = {"match": {"status": ["Junk"]}, "dry_run": False, "backup": False}


@pytest.fixture
def no_claims(prefect: SyncPrefectClient) -> Iterator[SyncPrefectClient]:
    """A client of the server, whose ledger is empty, for runs in this process."""
    for each in prefect.read_variables():
        if each.name.startswith(PREFIX):
            prefect.delete_variable_by_name(each.name)
    ConcurrencySlotAcquisitionWithLeaseService.drain_all()
    yield prefect
    ConcurrencySlotAcquisitionWithLeaseService.drain_all()


@pytest.mark.exhaustive  # test_ledger_check.py has the check
def test_the_check_names_the_bulk_delete_that_a_restored_copy_has_forgotten_and_its_run_starts_no_other(
    no_claims: SyncPrefectClient,
    prefect_server_process: PrefectServer,
    prefect_environment: dict[str, str],
    close: CloseAccount,
    lead_cleanup: Command,
    tmp_path: Path,
) -> None:
    """In the copy the run hasn't begun, and meanwhile another lead matches that it would have planned."""
    database = Path(prefect_environment["PREFECT_HOME"]) / "prefect.db"
    run = created(JUNK)
    back_up(tmp_path / "copy.db", database)
    report = attempt(run)
    before = lead_cleanup("ledger", "--check")

    prefect_server_process.stop()
    for each in database.parent.glob("prefect.db-*"):
        each.unlink()
    shutil.copy(tmp_path / "copy.db", database)
    prefect_server_process.start()
    restored = lead_cleanup("ledger", "--check")
    close.add(lead("E", "Junk"))
    again = attempt(no_claims.read_flow_run(run.id))

    assert report
    assert again
    assert (report.outcome, before.code, restored.code) == ("deleted", 0, 1)
    assert f"No claim knows bulk delete {report.bulk_delete_id} (done, 2 of 2 leads" in restored.out
    assert f"Run {run.id} (" in restored.out
    assert again.bulk_delete_id == report.bulk_delete_id
    assert len(close.posts(BULK_DELETE)) == 1
    assert sorted(each["name"] for each in close.leads().values()) == ["C", "D", "E"]
