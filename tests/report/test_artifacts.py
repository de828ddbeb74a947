"""What a run leaves on the Prefect server."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
)
from support.close_account import CloseAccount, lead

pytestmark = pytest.mark.server

Run = Callable[..., Any]
HOSTILE = '[x](javascript:alert(1)) | =HYPERLINK("http://evil.example") <script>alert(2)</script>'


def artifacts_of(run_id: str) -> dict[str, Any]:
    """The run's artifacts by key, progress left out."""
    with get_client(sync_client=True) as prefect:
        found = prefect.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(run_id)]))
        )
    return {each.key: each for each in found if each.key}


def test_a_run_leaves_its_plan_its_counts_and_its_report(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """Under stable keys, so that the Artifacts page is the history of the cleanup."""
    planned, _ = sandbox.add(lead("A", "Junk"), lead("B"))

    report = run_cleanup(match={"status": ["Junk"]}, dry_run=False, cleanup="Junk, nightly").report

    found = artifacts_of(report.flow_run_id)
    name = "lead-cleanup-sandbox-inc-junk-nightly"
    assert set(found) == {name, f"{name}-counts", f"{name}-plan"}
    assert [row["lead"] for row in json.loads(found[f"{name}-plan"].data)] == [planned]
    assert json.dumps(report.s_query, indent=2) in found[f"{name}-plan"].description
    counts = {row["count"]: row["leads"] for row in json.loads(found[f"{name}-counts"].data)}
    assert (counts["Matched"], counts["Planned"], counts["Deleted by Close"], counts["Still matching"]) == (1, 1, 1, 0)
    assert str(report.bulk_delete_id).removeprefix("bulkdelete_") in found[name].data
    assert f"(/artifacts/artifact/{found[f'{name}-plan'].id})" in found[name].data


def test_a_refused_run_leaves_them_too(sandbox: CloseAccount, run_cleanup: Run) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))

    report = run_cleanup(match={"status": ["Junk"]}, expect=7).report

    assert {key.removeprefix("lead-cleanup-sandbox-inc-ad-hoc") for key in artifacts_of(report.flow_run_id)} == {
        "",
        "-counts",
        "-plan",
    }


def test_a_run_that_never_got_to_its_plan_leaves_its_report(sandbox: CloseAccount, run_cleanup: Run) -> None:
    report = run_cleanup(match={"status": ["Nonsense"]}).report

    assert set(artifacts_of(report.flow_run_id)) == {"lead-cleanup-ad-hoc", "lead-cleanup-ad-hoc-counts"}


def test_the_name_of_a_lead_does_no_harm_and_is_in_the_sample_only(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """Somebody may call their lead a link, a formula or a script."""
    sandbox.add(lead(HOSTILE, "Junk"), lead("B"))

    report = run_cleanup(match={"status": ["Junk"]}, dry_run=False).report

    found = artifacts_of(report.flow_run_id)
    [row] = json.loads(found.pop("lead-cleanup-sandbox-inc-ad-hoc-plan").data)
    assert not row["name"].startswith(("=", "+", "-", "@"))
    assert "](" not in row["name"]
    assert "<script" not in row["name"]
    with get_client(sync_client=True) as prefect:
        run_id = LogFilterFlowRunId(any_=[UUID(report.flow_run_id)])
        logs = prefect.read_logs(LogFilter(flow_run_id=run_id), limit=200)
    everything_else = [str(each.data) for each in found.values()] + [each.message for each in logs]
    assert everything_else
    assert not any("evil.example" in text for text in everything_else)


def test_without_a_sample_no_name_reaches_prefect(sandbox: CloseAccount, run_cleanup: Run) -> None:
    sandbox.add(lead("Wayne Enterprises", "Junk"), lead("B"))

    report = run_cleanup(match={"status": ["Junk"]}, sample=0).report

    assert not any("Wayne" in f"{each.data} {each.description}" for each in artifacts_of(report.flow_run_id).values())
