"""A run that was cancelled, crashed, or stopped waiting can be resumed: it continues with the bulk delete it started.

Only after `unknown` does a person have a decision to make: look in Close, and if there is nothing of the run, let it
start once more. Their name is kept with that.
"""

import re

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Cancelled
from support.attempts import cancelled
from support.close_account import CloseAccount, lead
from support.terminal_session import Command

from tasks.ledger import store as ledger

pytestmark = pytest.mark.server

JUNK = ("run", "--match.status", "Junk", "--no-dry-run", "--json", "--no-backup")
BULK_DELETE = "/bulk_action/delete/"


def test_a_cancelled_run_continues_where_it_was(sandbox: CloseAccount, lead_cleanup: Command) -> None:
    """Its paused bulk delete is resumed. There is still only one."""
    sandbox.add(*(lead(f"junk {number}", "Junk") for number in range(6)), lead("other"))
    sandbox.jobs(stall_after=3)
    run_id = lead_cleanup(*JUNK, "--limits.max-wait-minutes", "1").json["flow_run_id"]
    report = cancelled(run_id)
    with get_client(sync_client=True) as prefect:
        prefect.set_flow_run_state(run_id, Cancelled(), force=True)  # what Prefect does once that is done

    resumed = lead_cleanup("resume", run_id, "--json")

    assert (report.outcome, report.processed) == ("cancelled", 3)
    assert (resumed.code, resumed.json["outcome"], resumed.json["processed"]) == (0, "deleted", 6)
    assert len(sandbox.posts(BULK_DELETE)) == 1
    assert len(sandbox.leads()) == 1


def test_a_run_that_stopped_waiting_waits_on(sandbox: CloseAccount, lead_cleanup: Command) -> None:
    """Somebody had paused the bulk delete in Close for longer than the run may wait."""
    sandbox.add(*(lead(f"junk {number}", "Junk") for number in range(6)), lead("other"))
    sandbox.jobs(status="paused", stall_after=3)

    first = lead_cleanup(*JUNK, "--limits.max-wait-minutes", "1")
    resumed = lead_cleanup("resume", first.json["flow_run_id"], "--json")

    assert (first.code, first.json["outcome"]) == (4, "still_running")
    assert (resumed.code, resumed.json["outcome"]) == (0, "deleted")
    assert len(sandbox.posts(BULK_DELETE)) == 1


def test_after_unknown_only_a_person_starts_again_and_only_once(sandbox: CloseAccount, lead_cleanup: Command) -> None:
    """Plain `resume` looks again and stays unknown; `--start-again` is an act on the record, with a name."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", BULK_DELETE, "drop_before")
    run_id = lead_cleanup(*JUNK).json["flow_run_id"]

    plain = lead_cleanup("resume", run_id, "--json")
    again = lead_cleanup("resume", run_id, "--start-again", "--json")
    once_more = lead_cleanup("resume", run_id, "--start-again", "--json")

    assert (plain.code, plain.json["outcome"]) == (5, "unknown")
    assert (again.code, again.json["outcome"]) == (0, "deleted")
    assert again.err.startswith("The claim is young: looking for its bulk delete in Close, for ")
    once_more.is_one_line("is Deleted", code=3)
    assert len(sandbox.posts(BULK_DELETE)) == 2
    given_up = ledger.given_up(plain.json["organization_id"])
    assert given_up == [], "a claim that was followed by another is not one that somebody gave up"


def test_start_again_looks_in_close_first(sandbox: CloseAccount, lead_cleanup: Command) -> None:
    """The reply was lost and the list lagged, so the run ended unknown; by now Close shows what it had started."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", BULK_DELETE, "drop_after")
    sandbox.fault("GET", BULK_DELETE, "status", times=10_000, after=1, status=503)
    run_id = lead_cleanup(*JUNK).json["flow_run_id"]
    sandbox.clear_faults()

    refused = lead_cleanup("resume", run_id, "--start-again")
    resumed = lead_cleanup("resume", run_id, "--json")

    assert refused.code == 3
    assert re.search(r"Close shows bulk delete bulkdelete_\w+ of this run: resume it without", refused.err)
    assert (resumed.code, resumed.json["outcome"]) == (0, "deleted")
    assert len(sandbox.posts(BULK_DELETE)) == 1
