"""When something looks wrong, `lead-cleanup stop` keeps every cleanup from starting, dry runs too, until `go`.

It holds in all organisations of the Prefect server, and for runs that already wait for something. With `--running`,
Close is also asked to pause what is under way.
"""

import pytest
from support.approvals import Ask
from support.close_account import CloseAccount, lead
from support.terminal_session import Command

pytestmark = pytest.mark.server

JUNK = ("run", "--match.status", "Junk", "--no-dry-run", "--json")


def test_while_cleanups_are_stopped_nothing_starts(sandbox: CloseAccount, lead_cleanup: Command) -> None:
    """A run that refuses repeats the reason, so that nobody needs to ask around."""
    sandbox.add(lead("A", "Junk"), lead("B"))

    stopped = lead_cleanup("stop", "importing until Friday")
    refused = lead_cleanup(*JUNK)
    before = sandbox.writes()
    shown = [lead_cleanup(*words) for words in (("stop",), ("ledger",))]
    lifted = lead_cleanup("go")
    done = lead_cleanup(*JUNK)

    assert (stopped.code, lifted.code, before) == (0, 0, [])
    assert (refused.code, refused.json["outcome"]) == (3, "refused")
    assert "Cleanups are stopped: importing until Friday." in refused.json["message"]
    for each in shown:
        assert (each.code, each.out.startswith("Cleanups are stopped: importing until Friday. Since 20")) == (0, True)
    assert sandbox.writes() == ["POST /export/lead/", "POST /bulk_action/delete/"]
    assert (done.code, done.json["outcome"]) == (0, "deleted")
    assert "Nothing was stopped." in lead_cleanup("go").out
    lead_cleanup("stop").is_one_line("Cleanups are not stopped. To stop them, say why: lead-cleanup stop 'importing")


def test_a_stop_that_is_put_while_a_run_waits_holds(sandbox: CloseAccount, ask: Ask, lead_cleanup: Command) -> None:
    """Even if somebody approves the run after that, in the Prefect UI."""
    sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"))
    asked = ask()
    lead_cleanup("stop", "importing")

    asked.answer(2)
    report = asked.goes_on()

    assert (report.outcome, sandbox.writes()) == ("refused", [])


def test_what_is_under_way_can_be_paused_with_it(sandbox: CloseAccount, lead_cleanup: Command) -> None:
    """And nothing resumes it until cleanups may run again."""
    sandbox.add(*(lead(f"junk {number}", "Junk") for number in range(6)), lead("other"))
    sandbox.jobs(stall_after=3)
    run_id = lead_cleanup(*JUNK, "--limits.max-wait-minutes", "1").json["flow_run_id"]

    stopped = lead_cleanup("stop", "Sales asked us to wait", "--running")
    too_soon = lead_cleanup("resume", run_id)
    lifted = lead_cleanup("go")
    resumed = lead_cleanup("resume", run_id, "--json")

    assert (stopped.code, "is paused at 3 of 6 leads." in stopped.out) == (0, True)
    too_soon.is_one_line("Cleanups are stopped: Sales asked us to wait.", code=3)
    assert run_id in lifted.out
    assert resumed.json["outcome"] == "deleted"
