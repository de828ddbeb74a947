"""What a run leaves on the Prefect server."""

import json
import re
from datetime import UTC, datetime
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
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings
from support.approvals import Ask, asking
from support.cleanups import RunCleanup
from support.close_account import CloseAccount, lead
from support.variations import first

from tasks.report.artifacts import artifact_key, publish, runs_before
from tasks.report.escaping import escape
from tasks.report.links import page_of_run
from tasks.runs import stop
from tasks.runs.connect import PrefectUnavailable
from tasks.runs.run import Run

pytestmark = pytest.mark.server

HOSTILE = '[x](javascript:alert(1)) | =HYPERLINK("http://evil.example") <script>alert(2)</script>'


def artifacts_of(run_id: str) -> dict[str, Any]:
    """The run's artifacts by key, progress left out."""
    with get_client(sync_client=True) as prefect:
        found = prefect.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(run_id)]))
        )
    return {each.key: each for each in found if each.key}


def six_of(sandbox: CloseAccount) -> str:
    """The end of the organisation's id, as it stands in a key."""
    return sandbox.organization_id()[-6:].lower()


def test_a_run_leaves_its_plan_its_counts_and_its_report(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """Under stable keys, so that the Artifacts page is the history of the cleanup."""
    planned, _ = sandbox.add(lead("A", "Junk"), lead("B"))

    report = run_cleanup(match={"status": ["Junk"]}, dry_run=False, cleanup="Junk, nightly").report

    found = artifacts_of(report.flow_run_id)
    name = f"lead-cleanup-sandbox-inc-{six_of(sandbox)}-junk-nightly"
    assert set(found) == {name, f"{name}-counts", f"{name}-plan"}
    plan = found[f"{name}-plan"].data
    assert re.search(rf"\| \[A\]\(https?://\S+/{planned}/\) \| Junk \|", plan)
    assert json.dumps(report.s_query, indent=2) in plan
    counts = {row["count"]: row["leads"] for row in json.loads(found[f"{name}-counts"].data)}
    assert (counts["Matched"], counts["Planned"], counts["Deleted by Close"], counts["Planned and still matching"]) == (
        1,
        1,
        1,
        0,
    )
    assert str(report.bulk_delete_id).removeprefix("bulkdelete_") in found[name].data
    assert f"(/artifacts/artifact/{found[f'{name}-plan'].id})" in found[name].data
    assert found[name].description.startswith("Deleted. Matched: 1, Kept: 0, Planned: 1, Deleted by")


def test_a_report_shows_the_runs_before_it(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """The last ten of the same cleanup, the newest first. What somebody else publishes there is left out."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    junk: dict[str, Any] = {"match": {"status": ["Junk"]}, "cleanup": "again and again"}
    runs = [UUID(run_cleanup(**junk, sample=0).report.flow_run_id) for _ in range(2)]
    key = f"lead-cleanup-sandbox-inc-{six_of(sandbox)}-again-and-again"
    for data in ("# Hello", "```json\n[broken\n```", '```json\n{"outcome": "cleaned"}\n```'):
        publish(runs[0], "markdown", data, key=key, description="")

    deleted = run_cleanup(**junk, dry_run=False).report

    page = artifacts_of(deleted.flow_run_id)[key].data
    assert re.findall(r"\| ([^|]+) \| 1 \| 0 \|  \| \[Run\]\(/runs/flow-run/(\S+)\) \|", page) == [
        ("Dry run", str(runs[1])),
        ("Dry run", str(runs[0])),
    ]
    [before] = runs_before(runs[1])
    assert (before.outcome, before.run_id) == ("dry_run", str(runs[0]))


def test_that_earlier_runs_cannot_be_read_does_not_keep_a_report_from_being_published(
    sandbox: CloseAccount, run_cleanup: RunCleanup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> None:
        raise PrefectUnavailable("Prefect is away.")

    monkeypatch.setattr("tasks.report.artifacts.earlier_runs", unreadable)
    sandbox.add(lead("A", "Junk"), lead("B"))

    ended = run_cleanup(match={"status": ["Junk"]})

    assert ended.report.outcome == "dry_run"
    assert "-ad-hoc" in "".join(artifacts_of(ended.report.flow_run_id))


def test_a_refused_run_leaves_them_too(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))

    report = run_cleanup(match={"status": ["Junk"]}, expect=7).report

    name = f"lead-cleanup-sandbox-inc-{six_of(sandbox)}-ad-hoc"
    assert set(artifacts_of(report.flow_run_id)) == {name, f"{name}-counts", f"{name}-plan"}


@pytest.mark.parametrize(
    ("api", "ui", "page"),
    [
        ("http://prefect:4200/api", None, "/runs/flow-run/x"),
        ("http://127.0.0.1:4200/api", "http://127.0.0.1:4200/prefect", "/prefect/runs/flow-run/x"),
        (
            "https://api.prefect.cloud/api/accounts/a/workspaces/w",
            None,
            "https://app.prefect.cloud/account/a/workspace/w/runs/flow-run/x",
        ),
        (
            "http://prefect:4200/api",
            "https://prefect.example.com/ui/",
            "https://prefect.example.com/ui/runs/flow-run/x",
        ),
    ],
)
def test_links_work_behind_a_base_path_and_on_prefect_cloud(api: str, ui: str | None, page: str):
    """Workers may know the server under a name that no browser does: where it serves the UI itself, links are paths."""
    with temporary_settings({PREFECT_API_URL: api, **({PREFECT_UI_URL: ui} if ui else {})}):
        assert page_of_run("x") == page


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("organization_id", "organization", "cleanup", "key"),
    [
        ("orga_AbCdEfGhIjKl", "Acme, Inc.", "stale leads", "lead-cleanup-acme-inc-ghijkl-stale-leads"),
        ("orga_1234567890a", "Müller", "junk", "lead-cleanup-muller-67890a-junk"),
        ("orga_1234567890b", "Muller", "junk", "lead-cleanup-muller-67890b-junk"),
        ("orga_1234567890a", "Łódź", "Größe & Söhne", "lead-cleanup-lodz-67890a-grosse-sohne"),
        ("orga_1234567890a", "株式会社", "junk", "lead-cleanup-zhu-shi-hui-she-67890a-junk"),
        ("orga_1234567890a", "🙂", "junk", "lead-cleanup-67890a-junk"),
        ("orga_1234567890a", "--A__B--", "junk", "lead-cleanup-a-b-67890a-junk"),
        ("", "", "junk", "lead-cleanup-junk"),
    ],
)
def test_a_key_tells_organisations_apart(organization_id: str, organization: str, cleanup: str, key: str):
    """Names may be alike, or alike in small Latin letters, which is all that Prefect allows in a key."""
    run = Run(id=UUID(int=0), as_of=datetime.now(UTC), cleanup=cleanup)

    assert artifact_key(run, organization_id, organization) == key


@pytest.mark.parametrize("unusable", first(1, [False, True]))
def test_a_deployments_run_without_a_plan_continues_its_history(
    sandbox: CloseAccount, ask: Ask, monkeypatch: pytest.MonkeyPatch, *, unusable: bool
) -> None:
    """It was refused before Close was asked, in which organisation it is. Another deployment's run came in between."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    dry_run: dict[str, Any] = {"waits": False, "dry_run": True, "cleanup": None}
    planned = ask(**dry_run)
    planned.goes_on()
    with asking() as ask_elsewhere:
        ask_elsewhere(**dry_run).goes_on()

    if unusable:
        monkeypatch.setenv("CLOSE_TIMEOUT", "soon")
    else:
        stop.put("holidays")
    refused = ask(**dry_run)
    refused.goes_on()
    once_more = ask(**dry_run)
    once_more.goes_on()
    stop.lift()

    name = f"lead-cleanup-sandbox-inc-{six_of(sandbox)}-junk-"
    of_planned, of_refused, of_last = (set(artifacts_of(str(each.id))) for each in (planned, refused, once_more))
    assert all(key.startswith(name) for key in of_planned)
    assert of_refused == of_last == {key for key in of_planned if not key.endswith("-plan")}


def test_an_ad_hoc_run_without_a_plan_goes_by_the_organisation_that_is_set(
    sandbox: CloseAccount, run_cleanup: RunCleanup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another cleanup's name may begin like its own."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    monkeypatch.setenv("CLOSE_ORGANIZATION_ID", sandbox.organization_id())
    junk: dict[str, Any] = {"match": {"status": ["Junk"]}}
    stop.put("holidays")
    first = run_cleanup(**junk, cleanup="by-hand").report
    stop.lift()
    run_cleanup(**junk, cleanup="by-hand")
    run_cleanup(**junk, cleanup="by-hand-too")
    stop.put("holidays")

    later = run_cleanup(**junk, cleanup="by-hand").report
    stop.lift()

    six = six_of(sandbox)
    assert min(artifacts_of(first.flow_run_id)) == f"lead-cleanup-{six}-by-hand"
    assert min(artifacts_of(later.flow_run_id)) == f"lead-cleanup-sandbox-inc-{six}-by-hand"


def test_where_nothing_says_which_organisation_it_is_the_key_has_none(
    sandbox: CloseAccount, run_cleanup: RunCleanup
) -> None:
    report = run_cleanup(match={"status": ["Nonsense"]}).report

    assert set(artifacts_of(report.flow_run_id)) == {"lead-cleanup-ad-hoc", "lead-cleanup-ad-hoc-counts"}


# --- customers' data --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sample", "said"),
    [(0, None), (1, "### The oldest of the planned leads\n"), (25, "### The planned leads\n")],
)
def test_the_plan_says_which_leads_its_table_shows(
    sandbox: CloseAccount, run_cleanup: RunCleanup, sample: int, said: str | None
) -> None:
    sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"))

    report = run_cleanup(match={"status": ["Junk"]}, sample=sample).report

    plan = artifacts_of(report.flow_run_id)[f"lead-cleanup-sandbox-inc-{six_of(sandbox)}-ad-hoc-plan"]
    assert said in plan.data if said else "planned leads\n" not in plan.data


def test_the_name_of_a_lead_does_no_harm_and_is_in_the_sample_only(
    sandbox: CloseAccount, run_cleanup: RunCleanup
) -> None:
    """Somebody may call their lead a link, a formula or a script."""
    sandbox.add(lead(HOSTILE, "Junk"), lead("B"))

    report = run_cleanup(match={"status": ["Junk"]}, dry_run=False).report

    found = artifacts_of(report.flow_run_id)
    plan = found.pop(f"lead-cleanup-sandbox-inc-{six_of(sandbox)}-ad-hoc-plan").data
    assert escape(HOSTILE) in plan
    assert HOSTILE not in plan
    with get_client(sync_client=True) as prefect:
        run_id = LogFilterFlowRunId(any_=[UUID(report.flow_run_id)])
        logs = prefect.read_logs(LogFilter(flow_run_id=run_id), limit=200)
    everything_else = [str(each.data) for each in found.values()] + [each.message for each in logs]
    assert everything_else
    assert not any("evil.example" in text for text in everything_else)


def test_without_a_sample_no_name_reaches_prefect(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    sandbox.add(lead("Wayne Enterprises", "Junk"), lead("B"))

    report = run_cleanup(match={"status": ["Junk"]}, sample=0).report

    assert not any("Wayne" in f"{each.data} {each.description}" for each in artifacts_of(report.flow_run_id).values())
