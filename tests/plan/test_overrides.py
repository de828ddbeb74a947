"""A run may override the parameters of its deployment; where it is less careful, its plan says so."""

from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from support.attempts import attempt
from support.close_account import CloseAccount, lead

from flows.lead_cleanup import lead_cleanup
from tasks.plan.overrides import is_loosened
from tasks.report.model import Report

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger")]

JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}}


def run_of_a_deployment(parameters: dict[str, Any], **overrides: Any) -> Report:
    """The report of a run of a deployment with these *parameters*, some of them overridden."""
    with get_client(sync_client=True) as prefect:
        flow_id = prefect.create_flow(lead_cleanup)
        deployment = prefect.create_deployment(flow_id, f"junk-{uuid4().hex}", parameters={**JUNK, **parameters})
        run = prefect.create_flow_run_from_deployment(deployment, parameters=overrides)
    report = attempt(run)
    assert report
    return report


def test_what_a_run_loosens_is_in_the_notes_of_its_plan(sandbox: CloseAccount) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))

    report = run_of_a_deployment(
        {"keep": {"open_tasks": True}, "limits": {"max_leads": 7, "batch": 3}, "approval": "above 5"},
        keep={},
        limits={"max_leads": 8},
        approval="above 6",
    )

    loosened = [note.partition("(")[2].removesuffix(").") for note in report.notes if is_loosened(note)]
    assert loosened == ["keep.open_tasks", "limits.max_leads", "limits.batch", "approval"]


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"approval": True}, "approval: True is neither never, nor always, nor above and a number of leads"),
        ({"limits": {"max_leads": "many"}}, "limits.max_leads: write a whole number without quotes."),
        ({"keep": {"open_task": True}}, "keep: there is no setting 'open_task'"),
    ],
)
def test_a_run_of_a_deployment_whose_own_parameters_are_invalid_is_refused(
    sandbox: CloseAccount, parameters: dict[str, Any], problem: str
) -> None:
    """The run overrides them with valid ones. Whether these are less careful couldn't be told."""
    sandbox.add(lead("A", "Junk"), lead("B"))

    report = run_of_a_deployment(parameters, keep={}, limits={}, approval="never", dry_run=False)

    assert report.outcome == "refused"
    assert report.message.startswith(f"The parameters of this run's deployment can't be used: {problem}")
    assert report.message.endswith("Correct them in prefect.yaml, and deploy it again.")
    assert sandbox.writes() == []
