"""The flow against the sandbox: what it deletes, what it spares, and how it ends."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.close_account import OTHER, USER, CloseAccount, lead
from support.fake_clock import FakeClock

from tasks.criteria.policy import Keep, Match
from tasks.criteria.selection import Criteria
from tasks.plan.make_plan import read_account
from tasks.runs.outcomes import Refused

pytestmark = pytest.mark.server

Run = Callable[..., Any]
BULK_DELETE = "/bulk_action/delete/"
MISSPELT: dict[str, Any] = {
    "type": "field_condition",
    "field": {"type": "regular_field", "object_type": "lead", "field_name": "num_calles"},
    "condition": {"type": "exists"},
}


def test_leads_edited_after_the_plan_are_spared(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """The query that Close gets leaves out what changed after the cut-off; the report says how many."""
    edited, _, _ = sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"))
    sandbox.fault("POST", BULK_DELETE, "delay", seconds=1.5)

    def edit() -> None:
        while not any(each["path"].endswith(BULK_DELETE) for each in sandbox.requests()):  # the last look
            time.sleep(0.01)
        sandbox.put(f"/lead/{edited}/", description="call her")

    someone = threading.Thread(target=edit)
    someone.start()
    state = run_cleanup(match={"status": ["Junk"]}, dry_run=False)
    someone.join()

    assert (state.report.planned, state.report.processed) == (2, 1)
    assert "1 more had changed since the plan" in state.message
    assert edited in sandbox.leads()


MORE = pytest.mark.exhaustive


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"limits": {"max_leads": 2}}, "more than limits.max_leads allows (2)"),
        ({"expect": 4}, "The plan has 3 leads, not 4 as expected"),
        ({"match": {"status": ["Jnuk"]}}, "There is no lead status 'Jnuk'; did you mean 'Junk'"),
        ({"match": {"smart_view": "All Leads"}}, "it matches every lead"),
        pytest.param({"match": {"s_query": MISSPELT}}, "Close has no field 'num_calles'", marks=MORE),
        pytest.param(
            {"match": {"custom_fields": {"Sorce": ["x"]}}}, "There is no lead custom field 'Sorce'", marks=MORE
        ),
        pytest.param(
            {"keep": {"status": ["Customers"]}},
            "There is no lead status 'Customers'; did you mean 'Customer'",
            marks=MORE,
        ),
        ({"match": {"created_before_months": 1}, "keep": {"open_opportunities": False}}, "The plan has every lead"),
    ],
)
def test_a_guard_refuses_before_anything_is_written(
    sandbox: CloseAccount, run_cleanup: Run, parameters: dict[str, Any], sentence: str
) -> None:
    sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C", "Junk"), lead("D"))

    state = run_cleanup(**{"match": {"status": ["Junk"]}, "dry_run": False, **parameters})

    assert (state.name, state.type) == ("Refused", "FAILED")
    assert sentence in state.message
    assert sandbox.writes() == []


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"CLOSE_API_KEY": USER}, "may not bulk delete"),
        ({"CLOSE_API_KEY": "api_wrong.key"}, "API key"),
        pytest.param({"CLOSE_API_KEY": ""}, "CLOSE_API_KEY", marks=MORE),
        ({"CLOSE_ORGANIZATION_ID": "orga_another"}, "CLOSE_ORGANIZATION_ID"),
        pytest.param(
            {"CLOSE_API_KEY": OTHER, "CLOSE_ORGANIZATION_ID": "orga_another"}, "CLOSE_ORGANIZATION_ID", marks=MORE
        ),
        pytest.param({"CLOSE_API_URL": "http://close.example/api/v1/"}, "https", marks=MORE),
        ({"CLOSE_KEEP_SMART_VIEW": "Never delet"}, "There is no Smart View 'Never delet'; did you mean 'Never delete'"),
    ],
)
def test_a_key_or_setting_that_does_not_fit_refuses_before_anything_is_written(
    sandbox: CloseAccount,
    run_cleanup: Run,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    sentence: str,
) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    state = run_cleanup(match={"status": ["Junk"]}, dry_run=False)

    assert state.name == "Refused"
    assert sentence in state.message
    assert sandbox.writes() == []


def test_a_job_that_ends_in_error_is_no_success(sandbox: CloseAccount, run_cleanup: Run) -> None:
    sandbox.add(*(lead(f"{n}", "Junk") for n in range(5)), *(lead(f"{n}") for n in range(5)))
    sandbox.jobs(fail_after=2)

    state = run_cleanup(match={"status": ["Junk"]}, dry_run=False)

    assert (state.name, state.type) == ("Failed", "FAILED")
    assert "error after 2 of 5 leads" in state.message


def test_an_unfinished_bulk_delete_of_somebody_else_refuses(sandbox: CloseAccount, run_cleanup: Run) -> None:
    sandbox.add(*(lead(f"{n}", "Junk") for n in range(30)), lead("B"), lead("C", "Bad Fit"))
    sandbox.jobs(stall_after=3)
    sandbox.post(BULK_DELETE, s_query={"type": "object_type", "object_type": "lead"})

    state = run_cleanup(match={"status": ["Bad Fit"]}, dry_run=False)

    assert state.name == "Refused"
    assert "Wait until it has finished" in state.message
    assert len(sandbox.posts(BULK_DELETE)) == 1


def test_a_batch_takes_the_oldest_and_leaves_the_rest_for_later(sandbox: CloseAccount, run_cleanup: Run) -> None:
    ids = sandbox.add(
        *(lead(f"{n}", "Junk", date_created=f"2021-0{n}-01T00:00:00+00:00") for n in range(1, 6)), lead("other")
    )

    first = run_cleanup(match={"status": ["Junk"]}, limits={"batch": 2}, dry_run=False)
    second = run_cleanup(match={"status": ["Junk"]}, limits={"batch": 3}, dry_run=False)

    assert (first.report.planned, second.report.planned) == (2, 3)
    assert set(sandbox.leads()) == {ids[-1]}


def test_whole_words_only(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """Somebody deleted "test" leads for weeks and took every name that contained those four letters."""
    names = ["Testudo", "Protestant Church", "Contest Ltd", "Attestor", "ACME test", "Customer"]
    ids = dict(zip(names, sandbox.add(*map(lead, names)), strict=True))

    state = run_cleanup(match={"name_words": ["test"]}, dry_run=False)

    assert state.report.planned == 1
    assert set(sandbox.leads()) == set(ids.values()) - {ids["ACME test"]}


def test_a_start_that_nobody_can_tell_about_ends_unknown(
    sandbox: CloseAccount, run_cleanup: Run, fake_clock: FakeClock
) -> None:
    """The request was lost on its way, or its effect isn't shown: the run doesn't guess and doesn't try again."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", BULK_DELETE, "drop_before")

    state = run_cleanup(match={"status": ["Junk"]}, dry_run=False)

    assert (state.name, state.type) == ("Unknown", "FAILED")
    assert "may have started a bulk delete" in state.message
    assert len(sandbox.posts(BULK_DELETE)) == 1
    assert len(sandbox.leads()) == 2


def test_the_organisations_own_keep_view_holds_whatever_the_parameters(
    sandbox: CloseAccount, run_cleanup: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"))
    protected = {
        "type": "and",
        "queries": [{"type": "object_type", "object_type": "lead"}, {"type": "id", "value": ids[1]}],
    }
    view = sandbox.post("/saved_search/", name="Ours", type="lead", s_query={"query": protected})
    monkeypatch.setenv("CLOSE_KEEP_SMART_VIEW", view["name"])

    state = run_cleanup(match={"status": ["Junk"]}, dry_run=False)

    assert state.report.kept == {"never_delete": 1, "total": 1}
    assert set(sandbox.leads()) == {ids[1], ids[2]}


def test_a_run_that_begins_in_closes_future_is_refused(sandbox: CloseAccount) -> None:
    """As where the clock of the Prefect server and of the worker has jumped."""
    with pytest.raises(Refused, match="ahead of Close's clock"):
        read_account.fn(Criteria(Match(status=["Junk"]), Keep(), datetime.now(UTC) + timedelta(hours=1)))
