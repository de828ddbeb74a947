"""A process is taken for dead that was only asleep, and its run is tried again: when it wakes up, it is superseded.

The later attempt speaks for the run. The earlier one claims, posts and seals nothing, and changes neither the report
nor the state.
"""

from collections.abc import Callable
from importlib import import_module
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from support.attempts import attempt, created, tried_again, wait_until
from support.close_account import CloseAccount, lead
from support.variations import first

from tasks.backup.archive import Archive
from tasks.ledger import store as ledger
from tasks.report.artifacts import recall_report
from tasks.report.model import Report

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger", "fake_clock")]

BULK_DELETE, EXPORT = "/bulk_action/delete/", "/export/lead/"
JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "limits": {"max_share": 1.0}, "dry_run": False}
# The steps before which a copy falls asleep: what of ours is called next, for the first time.
STEPS = {
    "the plan": "tasks.plan.make_plan.find_leads",
    "the export": "tasks.backup.make_backup.finished_export",
    "the check of the backup": "tasks.backup.make_backup.check_complete",
    "the last look at Close": "tasks.bulk_delete.start.connect",
    "the wait": "tasks.bulk_delete.wait.wait",
    "the end": "flows.lead_cleanup.read_event_log",
}


@pytest.fixture
def close(sandbox: CloseAccount) -> CloseAccount:
    """Three leads to delete."""
    sandbox.add(*(lead(name, "Junk") for name in "ABC"), lead("D"))
    return sandbox


def once_before(monkeypatch: pytest.MonkeyPatch, what: str, act: Callable[[], object]) -> None:
    """Let *act* happen, in another thread, before *what* is called for the first time."""
    module, _, name = what.rpartition(".")
    real = getattr(import_module(module), name)
    slept: list[bool] = []

    def asleep(*arguments: Any, **options: Any) -> Any:
        if not slept:
            slept.append(True)
            other = Thread(target=act)
            other.start()
            other.join()
        return real(*arguments, **options)

    monkeypatch.setattr(what, asleep)


@pytest.mark.parametrize("step", first(3, reversed(STEPS)))
def test_a_copy_that_wakes_up_later_changes_nothing(
    step: str, close: CloseAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = created(JUNK)
    later: list[Report] = []
    once_before(monkeypatch, STEPS[step], lambda: later.append(tried_again(run.id)))
    earlier = attempt(run)

    assert earlier is None
    assert_only_the_later_attempt_counts(close, run.id, later)


def test_a_copy_that_wakes_up_while_the_later_attempt_exports_leaves_the_claim_to_it(
    close: CloseAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would claim, then refuse its claim as superseded, which the later attempt takes for another's."""
    run = created(JUNK)
    later: list[Report] = []
    other = Thread(target=lambda: later.append(tried_again(run.id)))

    def other_exports() -> None:
        close.fault("POST", EXPORT, "delay", seconds=3)
        other.start()
        wait_until(lambda: len(close.posts(EXPORT)) == 2)

    once_before(monkeypatch, "tasks.bulk_delete.start.connect", other_exports)
    earlier = attempt(run)
    other.join()

    assert earlier is None
    assert_only_the_later_attempt_counts(close, run.id, later)


def test_a_copy_that_sleeps_between_its_claim_and_the_post_does_not_send_it(
    close: CloseAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its claim is recorded as refused, since it certainly started nothing: the next attempt may start."""
    run = created(JUNK)
    later: list[Report] = []
    once_before(monkeypatch, "tasks.bulk_delete.start._check_claim", lambda: later.append(tried_again(run.id)))
    earlier = attempt(run)
    record = ledger.read(run.id)
    last = tried_again(run.id)

    assert earlier is None
    assert [each.outcome for each in later] == ["unknown"], "it finds a claim, and no bulk delete of it"
    assert record
    assert record.refused
    assert last.outcome == "deleted"
    assert len(close.posts(BULK_DELETE)) == 1


def test_a_claim_that_aged_while_the_machine_slept_is_not_posted(
    close: CloseAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of a process stands still while a laptop is closed; the time of day doesn't."""
    monkeypatch.setattr("tasks.bulk_delete.start.CLAIM_SECONDS", 0.0)
    monkeypatch.setattr("tasks.runs.connect.clock", lambda: 0.0)

    report = attempt(created(JUNK | {"backup": False}))

    assert report
    assert report.outcome == "refused"
    assert "too old to start" in report.message
    assert close.posts(BULK_DELETE) == []


def assert_only_the_later_attempt_counts(close: CloseAccount, run_id: UUID, reports: list[Report]) -> None:
    """In what was started, the state, the report, and the backup, of which there is one."""
    [later] = reports
    assert later.outcome == "deleted"
    assert len(close.posts(BULK_DELETE)) == 1
    with get_client(sync_client=True) as prefect:
        assert prefect.read_flow_run(run_id).state_name == "Deleted"
    assert recall_report(run_id)["planned"] == later.planned == 3
    assert later.backup
    archive = Archive.at(later.backup)
    archive.verify()
    assert archive.lead_files() == [archive.manifest.file]
