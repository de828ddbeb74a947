"""A cleanup that is new to an organisation starts small: 50 leads, then 500, then what its limits allow."""

from collections.abc import Callable
from typing import Any

import pytest
from support.attempts import tried_again
from support.close_account import CloseAccount, lead

from tasks.plan import ramp

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger")]

Run = Callable[..., Any]
JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "limits": {"max_leads": 1000, "max_share": 0.9}}


@pytest.fixture
def junk(sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch) -> CloseAccount:
    """Twenty leads to delete, and a ramp of 2, then 5."""
    sandbox.add(*(lead(f"junk {day}", "Junk", date_created=f"2020-01-{day:02}") for day in range(1, 21)))
    sandbox.add(*(lead(f"other {number}") for number in range(20)))
    monkeypatch.setattr(ramp, "FIRST_RUNS", (2, 5))
    return sandbox


def test_the_first_run_is_small_the_second_is_larger_and_the_third_takes_the_rest(
    junk: CloseAccount, run_cleanup: Run
) -> None:
    reports = [run_cleanup(**JUNK, dry_run=False).report for _ in range(3)]

    assert [(each.outcome, each.planned, each.processed) for each in reports] == [
        ("deleted", 2, 2),
        ("deleted", 5, 5),
        ("deleted", 13, 13),
    ]
    assert "leaves 18 leads for later runs" in " ".join(reports[0].notes)
    assert not any("starts small" in note for note in reports[2].notes)


def test_a_dry_run_shows_what_the_real_one_would_do_and_is_no_step(junk: CloseAccount, run_cleanup: Run) -> None:
    dry = [run_cleanup(**JUNK).report for _ in range(2)]
    real = run_cleanup(**JUNK, dry_run=False).report

    assert [each.planned for each in (*dry, real)] == [2, 2, 2]
    assert ("Waiting for later runs", "18") in dry[0].rows()


def test_other_criteria_start_again_and_so_does_another_cleanup(junk: CloseAccount, run_cleanup: Run) -> None:
    first = run_cleanup(**JUNK, dry_run=False).report
    changed = run_cleanup(**JUNK, keep={"open_tasks": True}, dry_run=False).report
    other = run_cleanup(**JUNK, cleanup="another", dry_run=False).report

    assert [each.planned for each in (first, changed, other)] == [2, 2, 2]


@pytest.mark.exhaustive
def test_limits_are_no_other_criteria_and_the_smaller_number_counts(junk: CloseAccount, run_cleanup: Run) -> None:
    first = run_cleanup(**JUNK, dry_run=False).report
    narrower = run_cleanup(match=JUNK["match"], limits={**JUNK["limits"], "batch": 4}, dry_run=False).report

    assert [first.planned, narrower.planned] == [2, 4]


def test_whoever_says_so_starts_with_everything(junk: CloseAccount, run_cleanup: Run) -> None:
    report = run_cleanup(match=JUNK["match"], limits={**JUNK["limits"], "ramp": False}, dry_run=False).report

    assert report.processed == 20


def test_the_limits_hold_for_all_leads_that_would_be_planned_without_it(junk: CloseAccount, run_cleanup: Run) -> None:
    """A cleanup that matches far too much is not made harmless by taking it two at a time."""
    report = run_cleanup(match=JUNK["match"], limits={"max_leads": 19, "max_share": 0.9}, dry_run=False).report

    assert report.outcome == "refused"
    assert "Without the ramp, the plan would have 20 leads, more than limits.max_leads allows (19)" in report.message
    assert len(junk.leads()) == 40


def test_a_run_is_one_step_however_often_it_is_tried_again(junk: CloseAccount, run_cleanup: Run) -> None:
    first = run_cleanup(**JUNK, dry_run=False).report
    tried_again(first.flow_run_id)

    assert run_cleanup(**JUNK, dry_run=False).report.planned == 5


@pytest.mark.exhaustive
def test_what_somebody_has_written_there_by_hand_starts_the_ramp_again(
    junk: CloseAccount, run_cleanup: Run, prefect_server: str
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import VariableUpdate

    run_cleanup(**JUNK, dry_run=False)
    with get_client(sync_client=True) as prefect:
        [name] = [each.name for each in prefect.read_variables() if each.name.startswith("lead_cleanup_ramp_")]
        prefect.update_variable(VariableUpdate(name=name, value="go on"))

    assert run_cleanup(**JUNK, dry_run=False).report.planned == 2
