"""A cleanup that is new to an organisation starts small: 50 leads, then 500, then what its limits allow."""

from collections.abc import Callable
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from support.attempts import tried_again
from support.close_account import CloseAccount, lead
from support.variations import first

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


@pytest.mark.exhaustive
def test_limits_are_no_other_criteria_and_the_smaller_number_counts(junk: CloseAccount, run_cleanup: Run) -> None:
    first = run_cleanup(**JUNK, dry_run=False).report
    narrower = run_cleanup(match=JUNK["match"], limits={**JUNK["limits"], "batch": 4}, dry_run=False).report

    assert [first.planned, narrower.planned] == [2, 4]


def test_a_run_is_one_step_however_often_it_is_tried_again(junk: CloseAccount, run_cleanup: Run) -> None:
    first = run_cleanup(**JUNK, dry_run=False).report
    tried_again(first.flow_run_id)

    assert run_cleanup(**JUNK, dry_run=False).report.planned == 5


@pytest.mark.parametrize(("ours", "theirs"), first(1, [("休眠", "重複"), ("Müller", "Möller"), ("Junk", "junk")]))
def test_cleanups_whose_names_are_alike_in_small_latin_letters_have_each_their_own_ramp(
    junk: CloseAccount, run_cleanup: Run, ours: str, theirs: str
) -> None:
    """On one ramp, each would take the other's criteria for its own that have changed, and start small for ever."""
    another = {**JUNK, "keep": {"open_tasks": True}}

    run_cleanup(**JUNK, dry_run=False, cleanup=ours)
    run_cleanup(**another, dry_run=False, cleanup=theirs)

    assert run_cleanup(**JUNK, cleanup=ours).report.planned == 5
    assert run_cleanup(**another, cleanup=theirs).report.planned == 5


def test_the_ramp_of_a_name_that_0_1_had_shortened_goes_on(junk: CloseAccount, run_cleanup: Run) -> None:
    planned = run_cleanup(**JUNK, dry_run=False, cleanup="Junk, nightly").report
    renamed = f"lead_cleanup_ramp_{planned.organization_id.lower()}_junk_nightly"
    with get_client(sync_client=True) as prefect:
        [found] = [each for each in prefect.read_variables() if each.name.startswith("lead_cleanup_ramp_")]
        prefect.delete_variable_by_name(found.name)
        prefect.create_variable(VariableCreate(name=renamed, value=found.value))

    assert found.name != renamed
    assert run_cleanup(**JUNK, cleanup="Junk, nightly").report.planned == 5


@pytest.mark.exhaustive
def test_what_somebody_has_written_there_by_hand_starts_the_ramp_again(
    junk: CloseAccount, run_cleanup: Run, prefect_server: str
) -> None:
    run_cleanup(**JUNK, dry_run=False)
    with get_client(sync_client=True) as prefect:
        [name] = [each.name for each in prefect.read_variables() if each.name.startswith("lead_cleanup_ramp_")]
        prefect.update_variable(VariableUpdate(name=name, value="go on"))

    assert run_cleanup(**JUNK, dry_run=False).report.planned == 2
