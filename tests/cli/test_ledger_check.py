"""``ledger --check``: where the ledger and Close's own list of bulk deletes disagree."""

from datetime import timedelta
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from support.close_account import CloseAccount, lead
from support.fake_clock import FakeClock
from support.terminal_session import Command

from tasks.ledger import store as ledger
from tasks.ledger.record import Record, name_of

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger")]

JUNK = ("run", "--match.status", "Junk", "--no-dry-run", "--no-backup", "--json")
BULK_DELETE = "/bulk_action/delete/"


def deleted(lead_cleanup: Command, sandbox: CloseAccount) -> Record:
    """What the ledger has of a run that has deleted a lead."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    record = ledger.read(UUID(lead_cleanup(*JUNK).json["flow_run_id"]))
    assert record
    assert record.bulk_delete_id
    return record


def forget(record: Record) -> None:
    """The ledger as it was before the claim."""
    with get_client(sync_client=True) as prefect:
        prefect.delete_variable_by_name(record.name)


def test_what_agrees_is_counted_and_nothing_is_written(lead_cleanup: Command, sandbox: CloseAccount) -> None:
    """A bulk delete that somebody has started in Close has no claim, and needs none."""
    record = deleted(lead_cleanup, sandbox)
    by_hand = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}]}
    sandbox.post(BULK_DELETE, s_query=by_hand)
    ledger.claim(record.model_copy(update={"run_id": UUID(int=1), "organization_id": "orga_other"}))
    sandbox.forget_requests()

    said = lead_cleanup("ledger", "--check")

    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "No open claims.",
        "Compared 1 claim with 2 bulk deletes that Close lists.",
        "1 bulk delete of these, by their queries, no cleanup has started.",
        "Claims in orga_other are not compared: that takes a key of each organisation.",
    ]
    assert sandbox.writes() == []
    assert len(sandbox.requests()) == 2


def test_a_bulk_delete_whose_claim_is_lost_is_named_with_its_run(
    lead_cleanup: Command, sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it ended longer ago than claims are kept: then `ledger --prune` may have deleted its record."""
    record = deleted(lead_cleanup, sandbox)
    forget(record)

    lost = lead_cleanup("ledger", "--check")
    with get_client(sync_client=True) as prefect:
        prefect.delete_flow_run(record.run_id)
    without_run = lead_cleanup("ledger", "--check")
    monkeypatch.setattr("tasks.ledger.store.KEPT_FOR", timedelta())
    old = lead_cleanup("ledger", "--check")

    assert f"No claim knows bulk delete {record.bulk_delete_id} (done, 1 of 1 lead, started 20" in lost.out
    assert f"Run {record.run_id} (" in lost.out
    assert ", Deleted in Prefect) has its marks" in lost.out
    assert "Prefect has no run with its marks." in without_run.out
    assert "The ledger and Close disagree in 1 place: docs/database.md" in lost.err
    assert "1 bulk delete of these ended longer ago than claims are kept" in old.out
    assert (lost.code, without_run.code, old.code) == (1, 1, 0)


def test_a_claim_that_close_does_not_bear_out_is_named(lead_cleanup: Command, sandbox: CloseAccount) -> None:
    """It names a bulk delete that Close doesn't list, or none although Close lists one with its marks."""
    record = deleted(lead_cleanup, sandbox)
    gone = ledger.claim(record.model_copy(update={"run_id": UUID(int=1), "bulk_delete_id": "bulkdelete_gone"}))
    unnamed = lead_cleanup("ledger", "--check")
    forget(record)
    forget(gone)
    ledger.claim(record.model_copy(update={"bulk_delete_id": None, "ended": None}))
    found = lead_cleanup("ledger", "--check")

    assert f"Close does not list the bulk delete of run {gone.line}." in unnamed.out
    assert f"Bulk delete {record.bulk_delete_id} (done, " in found.out
    assert f"`lead-cleanup resume {record.run_id}` finds it." in found.out
    assert [unnamed.code, found.code] == [1, 1]


def test_an_open_claim_of_which_close_lists_nothing_is_named(
    lead_cleanup: Command, sandbox: CloseAccount, fake_clock: FakeClock
) -> None:
    """By the clock on the wall it is young; and a record that can't be read is a disagreement too."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", BULK_DELETE, "drop_before")
    run_id = lead_cleanup(*JUNK).json["flow_run_id"]
    with get_client(sync_client=True) as prefect:
        claim = prefect.read_variable_by_name(name_of(UUID(run_id), 1))
        assert claim
        prefect.request(
            "POST", "/variables/", json={"name": f"{claim.name}x", "value": "edited", "tags": ["lead-cleanup"]}
        ).raise_for_status()

    said = lead_cleanup("ledger", "--check")

    assert f"Close lists no bulk delete for the open claim of run {run_id}" in said.out
    assert "It may be about to start: repeat this in two minutes." in said.out
    assert f"{claim.name}x is not what a run wrote" in said.out
    assert "disagree in 2 places" in said.err
    assert said.code == 1
