"""``lead-cleanup run``: plans unless told otherwise, deletes exactly what it shows, and only once."""

import json
import shlex

import pytest
from support.close_account import CloseAccount, lead
from support.terminal_session import Command

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("empty_ledger")]

JUNK = ("run", "--match.status", "Junk")


def test_deletes_exactly_the_junk_that_nothing_protects_and_then_has_nothing_to_do(
    lead_cleanup: Command, sandbox: CloseAccount, prefect_server: str
):
    _, customer, protected = sandbox.add(
        lead("Junk", "Junk"), lead("Good", "Customer"), lead("Deal", "Junk", opportunities=[{"status_type": "active"}])
    )

    first = lead_cleanup(*JUNK, "--no-dry-run", "--json")
    second = lead_cleanup(*JUNK, "--no-dry-run", "--json")

    assert (first.code, first.json["outcome"], first.json["processed"]) == (0, "deleted", 1)
    assert set(sandbox.leads()) == {customer, protected}
    assert (second.code, second.json["outcome"]) == (0, "nothing_to_do")
    assert sandbox.writes() == ["POST /export/lead/", "POST /bulk_action/delete/"]


def test_without_no_dry_run_nothing_is_deleted_and_the_plan_is_shown(
    lead_cleanup: Command, sandbox: CloseAccount, prefect_server: str
):
    sandbox.add(lead("Acme *Ltd.* [x](javascript:1)\x1b[31m", "Junk"), lead("Good", "Customer"))

    said = lead_cleanup("run", "junk", "--limits.max-share", "0.5")

    assert said.code == 0
    assert "1 of 2 leads would be deleted." in said.out
    assert "Acme *Ltd.* [x](javascript:1)[31m  Junk" in said.out, "as people know it, without what steers a terminal"
    assert "/runs/flow-run/" in said.out
    assert sandbox.writes() == []


def test_a_dry_run_ends_with_the_command_that_deletes_what_it_shows(
    lead_cleanup: Command, sandbox: CloseAccount, prefect_server: str
):
    _, good = sandbox.add(lead("Junk", "Junk"), lead("Good", "Customer"))
    planned = lead_cleanup(*JUNK, "--match.name-words", "junk", "--expect", "1", "--dry-run")

    command = planned.out.splitlines()[-1].strip()

    assert command == ("lead-cleanup run --match.status Junk --match.name-words junk --no-dry-run --expect 1")
    assert lead_cleanup(*shlex.split(command)[1:], "--json").json["outcome"] == "deleted"
    assert set(sandbox.leads()) == {good}


def test_over_a_limit_there_is_no_such_command(lead_cleanup: Command, sandbox: CloseAccount, prefect_server: str):
    sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("Good", "Customer"))

    said = lead_cleanup(*JUNK, "--limits.max-leads", "1")

    assert said.code == 0
    assert "limits.max_leads: 2, where 1 is allowed" in said.out
    assert "--no-dry-run" not in said.out


def test_the_json_is_one_object_with_the_fields_of_a_report(
    lead_cleanup: Command, sandbox: CloseAccount, prefect_server: str
):
    sandbox.add(lead("Junk", "Junk"), lead("Good", "Customer"))

    said = lead_cleanup(*JUNK, "--json")

    assert {"outcome", "message", "s_query", "matched", "kept", "planned", "total", "digest"} <= set(said.json)
    assert json.loads(said.out)["outcome"] == "dry_run"
    assert said.err == "", "a plan has nothing to tell but its report"


def test_progress_is_told_on_stderr_without_prefects_own_chatter(
    lead_cleanup: Command, sandbox: CloseAccount, prefect_server: str
):
    sandbox.add(lead("Junk", "Junk"), lead("Good", "Customer"))

    said = lead_cleanup(*JUNK, "--no-dry-run")

    assert "1 of 1 lead deleted." in said.err
    assert "Bulk delete bulkdelete_" in said.err
    assert "Finished in state" not in said.err
    assert "Deleted" in said.out


def test_expect_stops_when_the_plan_is_another(lead_cleanup: Command, sandbox: CloseAccount, prefect_server: str):
    sandbox.add(lead("Junk", "Junk"), lead("Good", "Customer"))

    said = lead_cleanup(*JUNK, "--no-dry-run", "--expect", "2")

    assert said.code == 3
    assert "The plan has 1 lead, not 2 as expected." in said.out
    assert sandbox.writes() == []


def test_a_weakened_keep_rule_is_said_before_the_run(lead_cleanup: Command, sandbox: CloseAccount, prefect_server: str):
    sandbox.add(lead("Junk", "Junk"), lead("Good", "Customer"))

    said = lead_cleanup("run", "junk", "--no-keep.open-opportunities")

    assert "Note: Less careful than its deployment: open opportunities off instead of on" in said.err


def test_a_limit_that_a_flag_loosens_is_said_before_the_run_and_stays_in_its_report(
    lead_cleanup: Command, sandbox: CloseAccount, prefect_server: str
):
    """As the plan of a deployment's run says it. A retry reads the same."""
    sandbox.add(lead("Junk", "Junk"), lead("Good", "Customer"))
    note = "Note: Less careful than its deployment: max leads 100,000 instead of 200 (limits.max_leads)."

    said = lead_cleanup("run", "junk", "--limits.max-leads", "100000", "--no-limits.ramp", "--no-dry-run", "--json")
    report = lead_cleanup("report", said.json["flow_run_id"])

    assert (said.code, note in said.err, note in report.out) == (0, True, True)
    assert "(limits.ramp)" in report.out
    assert "(limits.max_share)" not in said.err + report.out


def test_close_that_fails_to_finish_is_exit_1(lead_cleanup: Command, sandbox: CloseAccount, prefect_server: str):
    sandbox.add(*(lead(f"Junk {number}", "Junk") for number in range(4)), lead("Good", "Customer"))
    sandbox.jobs(fail_after=2)

    said = lead_cleanup(*JUNK, "--no-dry-run", "--json")

    assert (said.code, said.json["outcome"]) == (1, "failed")
    assert "Traceback" not in said.err


def test_a_prefect_server_that_is_away_is_one_line(lead_cleanup: Command, sandbox: CloseAccount, prefect_server: str):
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        said = lead_cleanup(*JUNK)

    said.is_one_line("The Prefect server at http://127.0.0.1:9/api can't be reached", code=1)
    assert sandbox.requests() == []
