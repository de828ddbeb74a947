"""What a run has deleted can be restored from its backup: leads with their contacts, notes, and what else Close allows.

They are new leads with new ids. A restore plans before it creates, like a cleanup, and creates nothing twice.
"""

import pytest
from support.cleanups import RunCleanup
from support.close_account import CloseAccount, lead
from support.terminal_session import Command

pytestmark = pytest.mark.server


@pytest.fixture
def run_id(sandbox: CloseAccount, run_cleanup: RunCleanup) -> str:
    """The id of a run that has deleted two leads, Acme and Borg."""
    acme = lead("Acme", "Junk", contacts=[{"name": "Ann"}], activities=[{"_type": "Note", "note": "n"}])
    sandbox.add(acme, lead("Borg", "Junk"), lead("Other"))
    run_id = run_cleanup(match={"status": ["Junk"]}, dry_run=False).report.flow_run_id
    sandbox.forget_requests()
    return run_id


def names(sandbox: CloseAccount) -> list[str]:
    """The names of the leads that are there."""
    return sorted(each["name"] for each in sandbox.leads().values())


def test_a_restore_is_a_dry_run_unless_told_otherwise(
    sandbox: CloseAccount, run_id: str, lead_cleanup: Command
) -> None:
    """It says what it would create, and what can't come back. The run that deleted is all that it has to be told."""
    shown = lead_cleanup("restore", run_id)

    assert shown.code == 0
    assert shown.out.startswith("Dry run: nothing was restored\n2 leads would be restored.\n")
    assert "Not restored: e-mail threads" in shown.out
    assert "Acme" not in shown.out, "a report never has names"
    assert sandbox.writes() == []


def test_told_otherwise_the_leads_come_back_with_what_belongs_to_them(
    sandbox: CloseAccount, run_id: str, lead_cleanup: Command
) -> None:
    """Each contact and note is found under its lead again."""
    done = lead_cleanup("restore", run_id, "--no-dry-run", "--json")

    [acme] = [each for each in sandbox.leads().values() if each["name"] == "Acme"]
    assert (done.code, done.json["outcome"]) == (0, "restored")
    assert done.json["created"] == {"lead": 2, "contact": 1, "note": 1}
    assert (acme["status_label"], [each["name"] for each in acme["contacts"]]) == ("Junk", ["Ann"])
    assert names(sandbox) == ["Acme", "Borg", "Other"]


def test_a_second_restore_creates_nothing_twice(sandbox: CloseAccount, run_id: str, lead_cleanup: Command) -> None:
    """A restore that was cut off is simply run again: what it has created stands beside the backup."""
    lead_cleanup("restore", run_id, "--no-dry-run")

    again = lead_cleanup("restore", run_id, "--no-dry-run", "--json")

    assert again.json["outcome"] == "nothing_to_do"
    assert names(sandbox) == ["Acme", "Borg", "Other"]


def test_only_the_leads_that_are_asked_for_come_back(
    sandbox: CloseAccount, run_cleanup: RunCleanup, lead_cleanup: Command
) -> None:
    """By their old ids, which the backup knows. The others can follow at any time."""
    _, wanted, _ = sandbox.add(lead("Acme", "Junk"), lead("Borg", "Junk"), lead("Other"))
    run_id = run_cleanup(match={"status": ["Junk"]}, dry_run=False).report.flow_run_id

    unknown = lead_cleanup("restore", run_id, "--lead", "lead_none")
    lead_cleanup("restore", run_id, "--lead", wanted, "--no-dry-run")
    restored = names(sandbox)
    rest = lead_cleanup("restore", run_id, "--no-dry-run", "--json")

    assert (unknown.code, "no lead lead_none" in unknown.out) == (3, True)
    assert restored == ["Borg", "Other"]
    assert (rest.json["before"], names(sandbox)) == (1, ["Acme", "Borg", "Other"])
