"""A cleanup deletes nothing unless it is told to.

A dry run, which is the default, reads, counts and reports. The same words with `dry_run` off delete what it has shown.
"""

import pytest
from support.cleanups import RunCleanup
from support.close_account import CloseAccount, lead
from support.terminal_session import Command

pytestmark = pytest.mark.server


def test_a_run_is_a_dry_run_unless_told_otherwise(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """It writes nothing to Close. In Prefect it ends Completed, under a name that says what it was."""
    sandbox.add(lead("A", "Junk"), lead("B"))

    ended = run_cleanup(match={"status": ["Junk"]})

    assert (ended.name, ended.type) == ("DryRun", "COMPLETED")
    assert (ended.report.outcome, ended.report.planned) == ("dry_run", 1)
    assert sandbox.writes() == []


def test_told_otherwise_it_deletes_what_the_dry_run_has_shown(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """One parameter makes the difference, and the numbers are the same."""
    _, other = sandbox.add(lead("A", "Junk"), lead("B"))

    shown = run_cleanup(match={"status": ["Junk"]}).report
    done = run_cleanup(match={"status": ["Junk"]}, dry_run=False).report

    assert (done.outcome, done.processed) == ("deleted", shown.planned)
    assert set(sandbox.leads()) == {other}


def test_the_command_line_deletes_only_with_no_dry_run(sandbox: CloseAccount, lead_cleanup: Command) -> None:
    """Without `--no-dry-run` the plan is printed, and the exit code is 0."""
    sandbox.add(lead("A", "Junk"), lead("B"))

    said = lead_cleanup("run", "--match.status", "Junk")

    assert said.code == 0
    assert "1 of 2 leads would be deleted." in said.out
    assert sandbox.writes() == []
