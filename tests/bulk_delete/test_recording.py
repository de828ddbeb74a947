"""What a run writes on the Prefect server once Close deletes: repeated, and never from a stale copy."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import VariableUpdate
from support.attempts import attempt, created, tried_again
from support.close_account import CloseAccount, lead
from support.proxy import Proxy, Spoil
from support.variations import first

from tasks.ledger import store as ledger
from tasks.ledger.record import Record

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("fake_clock", "empty_ledger")]

BULK_DELETE = "/bulk_action/delete/"
JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "dry_run": False, "backup": False}
CLAIM, RECORD, LABEL = "POST /api/variables/ ", "PATCH /api/variables/", "PATCH /api/flow_runs/"
LASTING = 1000  # requests


@pytest.fixture
def front(sandbox: CloseAccount, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A server in front of Prefect's."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    monkeypatch.setattr("tasks.runs.connect.REWRITE_SECONDS", 0.05)
    with Proxy(prefect_server) as proxy:

        def through_the_front(*, sync_client: bool) -> SyncPrefectClient:
            assert sync_client
            return SyncPrefectClient(f"{proxy.address}/api")

        monkeypatch.setattr("tasks.runs.connect.get_client", through_the_front)
        yield proxy


def recorded(run_id: UUID | str | None) -> Record:
    record = ledger.read(UUID(str(run_id)))
    assert record
    return record


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is repeated."""
    monkeypatch.setattr("tasks.runs.connect.WRITE_SECONDS", 0.0)


@pytest.mark.parametrize("spoil", first(1, ["drop_after", "error", "forbid", "drop_before"]))
def test_a_failed_write_of_the_id_is_repeated(
    sandbox: CloseAccount, front: Proxy, run_cleanup: Callable[..., Any], spoil: Spoil
) -> None:
    front.trouble(RECORD, spoil, times=2)

    report = run_cleanup(**JUNK).report

    record = recorded(report.flow_run_id)
    assert report.outcome == "deleted"
    assert (record.bulk_delete_id, record.ended) == (report.bulk_delete_id, "done")
    assert len(sandbox.posts(BULK_DELETE)) == 1


def test_a_run_whose_id_can_not_be_recorded_waits_all_the_same_and_names_it(
    sandbox: CloseAccount, front: Proxy, impatient: None
) -> None:
    """Close deletes, and somebody has to look how that ends; the open claim keeps other runs away meanwhile."""
    front.trouble(RECORD, "error", times=LASTING)
    sandbox.fault("GET", f"{BULK_DELETE}bulkdelete_", "status", status=401)
    run = created(JUNK)

    first = attempt(run)
    not_recorded = recorded(run.id).bulk_delete_id
    front.mend()
    again = tried_again(run.id)

    assert first
    assert (first.outcome, not_recorded) == ("still_running", None)
    assert first.bulk_delete_id
    assert first.bulk_delete_id in first.message
    assert (again.outcome, again.bulk_delete_id) == ("deleted", first.bulk_delete_id)
    assert len(sandbox.posts(BULK_DELETE)) == 1


def test_the_end_of_the_wait_records_the_id_too(sandbox: CloseAccount, front: Proxy, impatient: None) -> None:
    front.trouble(RECORD, "error")
    run = created(JUNK)

    report = attempt(run)

    record = recorded(run.id)
    assert report
    assert report.outcome == "deleted"
    assert (record.bulk_delete_id, record.ended) == (report.bulk_delete_id, "done")


@pytest.mark.parametrize("spoil", first(1, ["busy", "error", "drop_before"]))
def test_a_repeated_write_does_not_erase_a_cancellation_that_came_meanwhile(
    sandbox: CloseAccount, front: Proxy, spoil: Spoil
) -> None:
    """Each time the record is read again. Prefect's client would send the same copy of it once more, and does not."""
    run = created(JUNK)
    cancelled_at = datetime(2026, 3, 31, tzinfo=UTC)

    def cancelled_meanwhile() -> None:
        with get_client(sync_client=True) as prefect:
            [variable] = [each for each in prefect.read_variables() if str(run.id) in each.name]
            assert isinstance(variable.value, dict)
            value = {**variable.value, "cancelled_at": cancelled_at.isoformat()}
            prefect.update_variable(VariableUpdate(name=variable.name, value=value, tags=variable.tags))

    front.trouble(RECORD, spoil, meanwhile=cancelled_meanwhile)
    report = attempt(run)

    record = recorded(run.id)
    assert report
    assert (record.cancelled_at, record.bulk_delete_id) == (cancelled_at, report.bulk_delete_id)


def test_what_was_cancelled_since_is_not_cleared(prefect_server: str, sandbox: CloseAccount, front: Proxy) -> None:
    """A person lets a cancelled run go on, and cancels it again before that is written."""
    run = created(JUNK)
    attempt(run)
    read_before = ledger.update(recorded(run.id), cancelled_at=datetime(2026, 3, 30, tzinfo=UTC))
    again = datetime(2026, 3, 31, tzinfo=UTC)
    ledger.update(read_before, cancelled_at=again)

    ledger.update(read_before, cancelled_at=None)

    assert recorded(run.id).cancelled_at == again


def test_a_label_that_can_not_be_written_does_not_lose_the_id(sandbox: CloseAccount, front: Proxy) -> None:
    front.trouble(LABEL, "error", times=LASTING)
    run = created(JUNK)

    report = attempt(run)

    assert report
    assert (report.outcome, recorded(run.id).bulk_delete_id) == ("deleted", report.bulk_delete_id)


def test_that_close_refused_is_reported_even_if_it_can_not_be_recorded(
    sandbox: CloseAccount, front: Proxy, impatient: None
) -> None:
    front.trouble(RECORD, "error", times=LASTING)
    sandbox.fault("POST", BULK_DELETE, "status", status=403)

    report = attempt(created(JUNK))

    assert report
    assert report.outcome == "refused"
    assert "403" in report.message or "may not" in report.message


def test_a_claim_that_took_too_long_to_write_starts_nothing(
    sandbox: CloseAccount, front: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time counts from before its first try: Prefect's client may have repeated it for long."""
    monkeypatch.setattr("tasks.bulk_delete.start.CLAIM_SECONDS", 0.5)
    front.trouble(CLAIM, "busy")  # Prefect's client tries again after a second or more

    report = attempt(created(JUNK))

    assert report
    assert report.outcome == "refused"
    assert "too old to start" in report.message
    assert sandbox.posts(BULK_DELETE) == []
