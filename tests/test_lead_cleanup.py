"""The flow against the sandbox: what it deletes, what it spares, and how it ends."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.close_account import OTHER, USER, CloseAccount, lead

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
    assert "1 had changed since, or were gone." in state.message
    assert edited in sandbox.leads()


MORE = pytest.mark.exhaustive


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
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


def test_a_run_that_begins_in_closes_future_is_refused(sandbox: CloseAccount) -> None:
    """As where the clock of the Prefect server and of the worker has jumped."""
    with pytest.raises(Refused, match="ahead of Close's clock"):
        read_account.fn(Criteria(Match(status=["Junk"]), Keep(), datetime.now(UTC) + timedelta(hours=1)))
