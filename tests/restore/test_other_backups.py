"""Leads that are in several backups, or were restored in part: none comes back twice, none is taken for another."""

from collections.abc import Callable
from typing import Any

import pytest
from restore.backups import BackUp, delete, export, rich
from support.close_account import CloseAccount, lead

from tasks.restore.create import restore as create
from tasks.restore.plan import plan_restore

pytestmark = pytest.mark.server

Restore = Callable[..., Any]


def names(sandbox: CloseAccount) -> list[str]:
    return sorted(each["name"] for each in sandbox.leads().values())


@pytest.mark.usefixtures("fake_clock")
def test_a_lead_of_the_same_words_that_another_backup_gave_is_not_taken_for_this_one(
    sandbox: CloseAccount, back_up: BackUp, restore: Restore
) -> None:
    """Close drops a POST, so the restore looks for what it may have created, and sees the other one."""
    first, second = sandbox.add(
        lead("Acme", "Junk"), lead("Acme", "Bad Fit", activities=[{"_type": "Note", "note": "of the second"}])
    )
    one, other = back_up(first), back_up(second)
    delete(sandbox)
    restore(one, dry_run=False)
    sandbox.fault("POST", "/lead/", "drop_before")

    report = restore(other, dry_run=False)

    assert report.created["lead"] == 1
    assert sorted(
        (each["status_label"], [note["note"] for note in each["activities"] if note["_type"] == "Note"])
        for each in export(sandbox)
    ) == [("Bad Fit", ["of the second"]), ("Junk", [])]


def test_what_was_restored_from_a_backup_of_what_was_restored_is_passed_over(
    sandbox: CloseAccount, back_up: BackUp, restore: Restore
) -> None:
    sandbox.add(lead("A"))
    one, other = back_up(), back_up()
    delete(sandbox)
    restore(one, dry_run=False)
    again = back_up()
    delete(sandbox)
    restore(again, dry_run=False)

    report = restore(other, dry_run=False)

    assert (report.outcome, report.restored_before, names(sandbox)) == ("nothing_to_do", 1, ["A"])


@pytest.mark.usefixtures("prefect_server")
def test_what_another_restore_has_created_since_the_plan_is_passed_over(sandbox: CloseAccount, back_up: BackUp) -> None:
    sandbox.add(*(lead(name) for name in "ABC"))
    backups = back_up(), back_up()
    delete(sandbox)
    plans = [plan_restore.fn(str(backup), [], {}) for backup in backups]

    one, other = map(create.fn, plans)

    assert (one.created["lead"], other.created["lead"], other.restored_meanwhile) == (3, 0, 3)
    assert names(sandbox) == ["A", "B", "C"]


def test_of_a_lead_that_was_restored_in_part_only_the_rest_is_counted(
    sandbox: CloseAccount, back_up: BackUp, restore: Restore
) -> None:
    sandbox.add(rich("Acme"))
    backup = back_up()
    delete(sandbox)
    sandbox.fault("POST", "/activity/note/", "status", times=1, status=400)
    restore(backup, dry_run=False)

    shown, done = restore(backup), restore(backup, dry_run=False)

    assert shown.message == "1 lead that an earlier restore has begun would be completed."
    assert shown.wanted == done.created == {"note": 1}
    assert done.message == "Completed what an earlier restore had begun, with everything that can come back."


def test_of_a_lead_that_was_restored_in_part_and_deleted_since_nothing_is_left(
    sandbox: CloseAccount, back_up: BackUp, restore: Restore
) -> None:
    sandbox.add(rich("Acme"))
    backup = back_up()
    delete(sandbox)
    sandbox.fault("POST", "/activity/note/", "status", times=1, status=400)
    restore(backup, dry_run=False)
    delete(sandbox)

    report = restore(backup, dry_run=False)

    assert report.outcome == "nothing_to_do"
    assert "Restored before and deleted since: 1 lead." in report.message


def test_a_key_that_may_not_read_the_event_log_restores_all_the_same(
    sandbox: CloseAccount, back_up: BackUp, restore: Restore
) -> None:
    sandbox.add(lead("A"), lead("B"))
    backup = back_up()
    delete(sandbox)
    sandbox.fault("GET", "/event/", "status", times=1000, status=403)

    shown, done = restore(backup), restore(backup, dry_run=False)

    assert shown.wanted == done.created == {"lead": 2}
    assert names(sandbox) == ["A", "B"]
