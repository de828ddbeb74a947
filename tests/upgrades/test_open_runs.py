"""An upgrade finds runs that have not come to their end: each goes on rightly, and nothing is deleted twice.

The folder ``written_by_0_1`` holds what version 0.1 has written on the Prefect server and in storage, and what Close
shows. Everything here goes in by the doors that people and workers use.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import VariableUpdate
from support.attempts import wait_until
from support.close_account import CloseAccount, lead
from support.variations import first
from upgrades.conftest import Command, attempt, bulk_deletes, state_of, tried_again_by_automation, variables
from upgrades.kept import BULK_DELETE, Kept, put_back

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger", "fake_clock")]

WRITTEN = Path(__file__).parent / "written_by_0_1"
ANOTHER = ("run", "--match.status", "Junk", "--no-dry-run", "--limits.max-share", "1", "--no-backup", "--json")
NOTHING_OPEN = "No open claims.\n"

Find = Callable[[str], Kept]


@pytest.fixture
def find(sandbox: CloseAccount, backups: Path) -> Find:
    """Has everything be as it was when version 0.1 stopped."""
    return lambda name: put_back(WRITTEN / name, sandbox, backups)


def rename(kept: Kept, cleanup: str) -> None:
    """Have the records of 0.1 be those of a cleanup of this name, as it tagged them."""
    with get_client(sync_client=True) as prefect:
        for each in kept.variables:
            tags = [cleanup if tag == each["value"]["cleanup"] else tag for tag in each["tags"]]
            value = {**each["value"], "cleanup": cleanup}
            prefect.update_variable(VariableUpdate(name=each["name"], value=value, tags=tags))


def names(sandbox: CloseAccount) -> list[str]:
    return sorted(each["name"] for each in sandbox.leads().values())


KEPT = ["Dynamo Ltd", "Elm Furniture"]
ALL = ["Acme Anvils", "Bolt Works", "Crank & Sons", *KEPT]


# --- Waiting for approval ---------------------------------------------------------------------------------------------


def test_a_run_that_waits_for_approval_takes_it_and_deletes_once(
    find: Find, call: Command, sandbox: CloseAccount
) -> None:
    """Its plan is made anew, and is the one that was shown: it doesn't ask again."""
    run = find("suspended").id

    said = call("approve", run, "--leads", "3", "--by", "Ann", "--note", "As agreed.")
    attempt(run)

    report = call("report", run, "--json").json
    assert said.code == 0, said.err
    assert (report["outcome"], report["processed"], state_of(run)) == ("deleted", 3, "Deleted")
    assert (bulk_deletes(sandbox), names(sandbox)) == (1, KEPT)
    assert "3 leads, approved by Ann" in call("report", run).out


def test_a_run_that_waits_for_approval_is_declined_by_a_wrong_number(
    find: Find, call: Command, sandbox: CloseAccount
) -> None:
    run = find("suspended").id

    said = call("approve", run, "--leads", "4", "--by", "Ann")
    attempt(run)

    assert (said.code, call("report", run, "--json").json["outcome"]) == (3, "declined")
    assert (bulk_deletes(sandbox), names(sandbox)) == (0, ALL)


def test_an_answer_that_no_worker_has_taken_up_yet_counts(find: Find, call: Command, sandbox: CloseAccount) -> None:
    run = find("approved").id

    attempt(run)

    report = call("report", run, "--json").json
    assert (report["outcome"], bulk_deletes(sandbox), names(sandbox)) == ("deleted", 1, KEPT)
    assert "3 leads, approved by Ann (name not verified)" in call("report", run).out
    assert "As agreed on Monday." in call("report", run).out


# --- Claimed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "echo"),
    first(1, [("claimed_and_started", "microseconds"), ("claimed_and_started", "as_sent"), ("waiting", "as_sent")]),
)
def test_what_close_has_is_waited_for(find: Find, call: Command, sandbox: CloseAccount, name: str, echo: str) -> None:
    """Killed before Close's answer was there, or after the id was written down. Its query has one mark, twice."""
    sandbox.behaviour(echo=echo)
    kept = find(name)
    before = call("ledger").out

    tried_again_by_automation(kept.id)

    report = call("report", kept.id, "--json").json
    assert before.startswith(kept.id)
    assert (report["outcome"], report["bulk_delete_id"]) == ("deleted", kept.jobs[0]["id"])
    assert (report["planned"], report["processed"], report["remaining"]) == (3, 3, 0)
    assert kept.id in report["backup"]
    assert (bulk_deletes(sandbox), names(sandbox)) == (0, KEPT)
    assert call("ledger").out == NOTHING_OPEN


def test_a_bulk_delete_that_is_done_settles_its_claim_for_other_runs(
    find: Find, call: Command, sandbox: CloseAccount
) -> None:
    find("claimed_and_started")
    sandbox.add(lead("Flux", "Junk"))
    wait_until(lambda: sandbox.get(BULK_DELETE)["data"][0]["status"] == "done")

    another = call(*ANOTHER).json

    assert (another["outcome"], another["processed"], names(sandbox)) == ("deleted", 1, KEPT)
    assert call("ledger").out == NOTHING_OPEN


def test_what_close_does_not_show_is_not_started_again_until_somebody_says_so(
    find: Find, call: Command, sandbox: CloseAccount
) -> None:
    run = find("claimed_and_not_started").id

    tried_again_by_automation(run)
    of_itself = call("report", run, "--json")
    another = call(*ANOTHER).json
    started_before = bulk_deletes(sandbox)
    allowed = call("resume", run, "--start-again")
    attempt(run)

    assert (of_itself.code, of_itself.json["outcome"]) == (5, "unknown")
    assert (another["outcome"], run in another["message"]) == ("refused", True)
    assert (started_before, allowed.code) == (0, 0)
    assert call("report", run, "--json").json["outcome"] == "deleted"
    assert (bulk_deletes(sandbox), names(sandbox)) == (1, KEPT)


def test_what_close_does_not_show_can_be_given_up(find: Find, call: Command, sandbox: CloseAccount) -> None:
    run = find("claimed_and_not_started").id
    tried_again_by_automation(run)

    given_up = call("ledger", "--give-up", run)
    another = call(*ANOTHER).json

    assert (given_up.code, NOTHING_OPEN in given_up.out) == (0, True)
    assert (another["outcome"], bulk_deletes(sandbox), names(sandbox)) == ("deleted", 1, KEPT)


@pytest.mark.parametrize("cleanup", first(1, ["unresolved", "given-up"]))
def test_a_claim_of_a_cleanup_whose_name_was_also_a_tag_counts_by_what_it_says(
    find: Find, call: Command, sandbox: CloseAccount, cleanup: str
) -> None:
    """Version 0.1 tagged its records with the name as it was: one that had ended stood in the way for ever."""
    kept = find("refused")
    rename(kept, cleanup)

    listed = call("ledger").out
    another = call(*ANOTHER).json

    assert listed == NOTHING_OPEN
    assert (another["outcome"], another["processed"], names(sandbox)) == ("deleted", 3, KEPT)


def test_an_open_claim_of_such_a_cleanup_stays_open(find: Find, call: Command, sandbox: CloseAccount) -> None:
    kept = find("unknown")
    rename(kept, "given-up")

    another = call(*ANOTHER).json

    assert kept.id in call("ledger").out
    assert (another["outcome"], kept.id in another["message"], bulk_deletes(sandbox)) == ("refused", True, 0)


def test_a_cancelled_run_goes_on_for_a_person_only(find: Find, call: Command, sandbox: CloseAccount) -> None:
    kept = find("cancelled")
    assert call("report", kept.id).code == 6

    tried_again_by_automation(kept.id)
    still = call("report", kept.id, "--json").json
    writes = sandbox.writes()
    resumed = call("resume", kept.id, "--json")

    assert (still["outcome"], writes) == ("cancelled", [])
    assert (resumed.code, resumed.json["outcome"]) == (0, "deleted")
    assert resumed.json["bulk_delete_id"] == kept.jobs[0]["id"]
    assert sandbox.writes() == [f"PUT {BULK_DELETE}{kept.jobs[0]['id']}/"]
    assert names(sandbox) == KEPT


def test_an_unknown_run_stays_so_until_somebody_lets_it_start_again(
    find: Find, call: Command, sandbox: CloseAccount
) -> None:
    run = find("unknown").id

    reported = call("report", run, "--json")
    resumed = call("resume", run, "--json")
    started_before = bulk_deletes(sandbox)
    again = call("resume", run, "--start-again", "--json")
    once_more = call("resume", run, "--start-again")

    assert (reported.code, reported.json["outcome"]) == (5, "unknown")
    assert (resumed.code, resumed.json["outcome"], started_before) == (5, "unknown", 0)
    assert (again.code, again.json["outcome"], once_more.code) == (0, "deleted", 3)
    assert (bulk_deletes(sandbox), names(sandbox)) == (1, KEPT)


def test_a_permission_is_used_once(find: Find, call: Command, sandbox: CloseAccount) -> None:
    """It was approved, it may start again, and no worker has taken it up yet."""
    run = find("permitted").id

    attempt(run)
    report = call("report", run, "--json").json
    tried_again_by_automation(run)

    assert (report["outcome"], report["processed"]) == ("deleted", 3)
    assert "3 leads, approved by Ann" in call("report", run).out
    assert (bulk_deletes(sandbox), names(sandbox)) == (1, KEPT)
    assert [each for each in variables() if run in each] == [f"lead_cleanup_run_{run}", f"lead_cleanup_run_{run}_2"]


def test_a_permission_is_used_up_by_a_start_that_is_lost(find: Find, call: Command, sandbox: CloseAccount) -> None:
    run = find("permitted").id
    sandbox.fault("POST", BULK_DELETE, "drop_before")

    attempt(run)
    tried_again_by_automation(run)

    assert call("report", run, "--json").json["outcome"] == "unknown"
    assert (bulk_deletes(sandbox), names(sandbox)) == (1, ALL)


def test_a_claim_that_close_refused_is_followed_by_a_second(find: Find, call: Command, sandbox: CloseAccount) -> None:
    run = find("refused").id
    assert (call("ledger").out, call("report", run).code) == (NOTHING_OPEN, 3)

    resumed = call("resume", run, "--json")

    assert (resumed.code, resumed.json["outcome"]) == (0, "deleted")
    assert (bulk_deletes(sandbox), names(sandbox)) == (1, KEPT)
    assert [each for each in variables() if run in each] == [f"lead_cleanup_run_{run}", f"lead_cleanup_run_{run}_2"]


@pytest.mark.parametrize(("name", "planned"), first(1, [("given_up_while_paused", 2), ("given_up", 3)]))
def test_what_was_given_up_stands_in_nobodys_way(
    find: Find, call: Command, sandbox: CloseAccount, name: str, planned: int
) -> None:
    """Also while its bulk delete stays paused in Close."""
    run = find(name).id

    listed = call("ledger").out
    itself = call("resume", run)
    another = call(*ANOTHER).json

    assert listed == NOTHING_OPEN
    assert (itself.code, len(itself.err.splitlines())) == (3, 1)
    assert f"The claim of run {run} was given up by ann on " in itself.err
    assert (another["outcome"], another["processed"]) == ("deleted", planned)
    assert (bulk_deletes(sandbox), names(sandbox)) == (1, KEPT)


# --- What has ended, and what stands ----------------------------------------------------------------------------------


def test_a_finished_run_is_reported_as_it_was_and_starts_nothing(
    find: Find, call: Command, sandbox: CloseAccount
) -> None:
    kept = find("finished")
    before = call("report", kept.id, "--json")

    resumed = call("resume", kept.id)
    tried_again_by_automation(kept.id)
    after = call("report", kept.id, "--json")

    assert (before.code, before.json["outcome"]) == (0, "deleted")
    assert (resumed.code, "is Deleted: `lead-cleanup report" in resumed.err) == (3, True)
    assert {**after.json, "polls": None} == {**before.json, "polls": None}
    assert (bulk_deletes(sandbox), call("ledger").out) == (0, NOTHING_OPEN)


def test_the_ramp_goes_on_where_it_was(find: Find, call: Command, sandbox: CloseAccount) -> None:
    """A first run has deleted with these criteria, so the second may plan more than fifty leads."""
    find("finished")
    sandbox.add(*(lead(f"Junk {number}", "Junk") for number in range(55)))

    said = call(*(each for each in ANOTHER if each != "--no-dry-run"))

    assert (said.json["outcome"], said.json["planned"]) == ("dry_run", 55)


def test_a_stop_stands(find: Find, call: Command, sandbox: CloseAccount) -> None:
    find("stopped")

    refused = call(*ANOTHER)
    gone_on = call("go")
    done = call(*ANOTHER)

    assert (refused.code, "importing until Friday" in refused.json["message"]) == (3, True)
    assert "Cleanups run again." in gone_on.out
    assert (done.json["outcome"], bulk_deletes(sandbox)) == ("deleted", 1)


# --- Backups ----------------------------------------------------------------------------------------------------------


def test_a_backup_is_listed_whole_and_restored(find: Find, call: Command, sandbox: CloseAccount, backups: Path) -> None:
    run = find("finished").id

    listed = call("backups", "--verify")
    restored = call("restore", run, "--no-dry-run", "--json")

    assert (listed.code, len(listed.out.splitlines())) == (0, 2)
    assert (run in listed.out, listed.out.split()[-1]) == (True, "yes")
    assert (restored.json["outcome"], restored.json["created"]["lead"]) == ("restored", 3)
    assert names(sandbox) == ALL
    [beside] = backups.rglob("report.json")
    assert json.loads(beside.read_text())["outcome"] == "deleted"


def test_a_restore_that_was_cut_off_goes_on_and_makes_nothing_twice(
    find: Find, call: Command, sandbox: CloseAccount
) -> None:
    """One lead had everything; of the other, Close had made a second note that nobody had written down."""
    run = find("restored_by_half").id

    restored = call("restore", run, "--no-dry-run", "--json")
    again = call("restore", run, "--no-dry-run", "--json")

    assert (restored.code, restored.json["outcome"], restored.json["adopted"]) == (0, "restored", 1)
    assert sandbox.writes() == ["POST /activity/call/"]
    assert again.json["outcome"] == "nothing_to_do"
    assert names(sandbox) == ["Acme Anvils", "Bolt Works", *KEPT]
    for path, number in (("/activity/note/", 4), ("/activity/call/", 2), ("/opportunity/", 2), ("/task/", 2)):
        assert len(sandbox.get(path)["data"]) == number, path


def test_what_was_restored_is_known(find: Find, call: Command, sandbox: CloseAccount) -> None:
    kept = find("restored")

    reported = call("report", str(kept.runs[1]["id"]), "--json")
    again = call("restore", kept.id, "--no-dry-run", "--json")

    assert (reported.code, reported.json["outcome"]) == (0, "restored")
    assert reported.json["created"]["lead"] == 3
    assert (again.json["outcome"], sandbox.writes()) == ("nothing_to_do", [])


def test_a_person_is_taken_out_of_a_backup(find: Find, call: Command, backups: Path) -> None:
    find("restored")

    forgotten = call("backups", "--forget", "ann@acme.example")
    verified = call("backups", "--verify")

    assert "Forgotten: 1 lead, from 1 of " in forgotten.out
    assert (verified.code, verified.out.split()[-2:]) == (0, ["2", "yes"])
