"""``report``: how a run ended, later."""

from pathlib import Path

import pytest
from restore.backups import delete, make_backup
from support.close_account import CloseAccount, lead
from support.terminal_session import Command

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger")]


def test_it_prints_what_the_run_has_said(lead_cleanup: Command, sandbox: CloseAccount) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    said = lead_cleanup("run", "--match.status", "Junk", "--no-dry-run", "--json")

    again = lead_cleanup("report", said.json["flow_run_id"])
    as_json = lead_cleanup("report", said.json["flow_run_id"], "--json")

    assert again.code == 0
    assert all(text in again.out for text in ("Deleted", "1 lead is deleted.", said.json["bulk_delete_id"]))
    assert "With these leads went nothing that was counted." in again.out
    assert as_json.json == said.json


def test_a_restore_says_what_it_has_made(lead_cleanup: Command, sandbox: CloseAccount, tmp_path: Path) -> None:
    sandbox.add(lead("A"), lead("B"))
    folder = make_backup(sandbox, tmp_path)
    delete(sandbox)
    said = lead_cleanup("restore", str(folder), "--json")

    again = lead_cleanup("report", said.json["flow_run_id"])
    as_json = lead_cleanup("report", said.json["flow_run_id"], "--json")

    assert again.code == 0
    assert "Dry run: nothing was restored" in again.out
    assert as_json.json == said.json
    assert as_json.json["wanted"]["lead"] == 2


def test_a_run_that_was_tried_again_says_what_it_said_last(lead_cleanup: Command, sandbox: CloseAccount) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", "/bulk_action/delete/", "status", status=403)
    run_id = lead_cleanup("run", "--match.status", "Junk", "--no-dry-run", "--json").json["flow_run_id"]
    lead_cleanup("resume", run_id)

    assert lead_cleanup("report", run_id, "--json").json["outcome"] == "deleted"


def test_a_run_that_is_not_there_is_one_line(lead_cleanup: Command, sandbox: CloseAccount) -> None:
    lead_cleanup("report", "no-such-run").is_one_line("There is no run 'no-such-run'", code=3)
