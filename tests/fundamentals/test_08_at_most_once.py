"""A run starts one bulk delete, and never a second one, however it goes.

Where it isn't certain whether the first was started, the run looks for it in Close by its marks. If it finds nothing,
it ends as `unknown`, and only a person may start it again.
"""

from typing import Any

import pytest
from support.attempts import tried_again
from support.cleanups import RunCleanup
from support.close_account import CloseAccount, lead
from support.variations import first

pytestmark = pytest.mark.server

BULK_DELETE = "/bulk_action/delete/"
JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "dry_run": False, "backup": False}


def test_a_second_run_finds_nothing_to_do(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """A schedule may come round as often as it likes."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    run_cleanup(**JUNK)

    ended = run_cleanup(**JUNK)

    assert ended.report.outcome == "nothing_to_do"
    assert len(sandbox.posts(BULK_DELETE)) == 1


def test_a_lost_reply_is_adopted_not_repeated(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """The POST took effect but its answer was lost: the run finds its bulk delete by its marks, and waits for it."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", BULK_DELETE, "drop_after")

    ended = run_cleanup(**JUNK)

    assert ended.report.outcome == "deleted"
    assert len(sandbox.posts(BULK_DELETE)) == 1


def test_a_start_that_nobody_can_tell_about_ends_unknown(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """The request was lost on its way, or its effect isn't shown: the run doesn't guess and doesn't try again."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", BULK_DELETE, "drop_before")

    state = run_cleanup(**JUNK)

    assert (state.name, state.type) == ("Unknown", "FAILED")
    assert "may have started a bulk delete" in state.message
    assert len(sandbox.posts(BULK_DELETE)) == 1
    assert len(sandbox.leads()) == 2


@pytest.mark.parametrize("status", first(1, [500, 302]))
def test_what_may_have_been_started_is_never_started_again(
    sandbox: CloseAccount, run_cleanup: RunCleanup, status: int
) -> None:
    """Not by a retry of the run, and not by another run: both say which run it is about."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", BULK_DELETE, "status", status=status)

    first = run_cleanup(**JUNK).report
    again = tried_again(first.flow_run_id)
    another = run_cleanup(**JUNK).report

    assert (first.outcome, again.outcome, another.outcome) == ("unknown", "unknown", "refused")
    assert first.flow_run_id in another.message
    assert len(sandbox.posts(BULK_DELETE)) == 1
    assert len(sandbox.leads()) == 2
