"""The weekly digest: what each cleanup did, what came of it, and what needs a person; from Prefect alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Completed, Crashed, Failed, Suspended
from support.attempts import attempt
from support.close_account import CloseAccount, lead
from support.fake_clock import FakeClock

from flows.cleanup_digest import cleanup_digest
from flows.lead_cleanup import lead_cleanup
from tasks.report.artifacts import PREFIX
from tasks.report.escaping import escape
from tasks.report.model import Report, RunReport
from tasks.restore.report import RestoreReport
from tasks.runs import stop
from tasks.runs.outcomes import Outcome
from tasks.summary.digest import KEY, Digest, Ran, markdown, needs_a_person

pytestmark = pytest.mark.server

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "limits": {"max_share": 1.0}, "backup": False}
DELETED = Report(outcome=Outcome.DELETED, message="", processed=161)
RESTORED = RestoreReport(outcome=Outcome.RESTORED, message="", created={"lead": 1, "note": 7})


@pytest.fixture
def prefect(prefect_server: str, empty_ledger: None) -> Iterator[SyncPrefectClient]:
    """A server on which other tests have left runs: these here are of cleanups of their own."""
    with get_client(sync_client=True) as client:
        yield client


def digest(prefect: SyncPrefectClient) -> str:
    """The digest of the last week, as it is published."""
    state = cleanup_digest(return_state=True)
    assert state.name == "Digest"
    by_key = ArtifactFilter.model_validate({"key": {"any_": [KEY]}})
    [found] = [
        each
        for each in prefect.read_artifacts(artifact_filter=by_key)
        if each.flow_run_id == state.state_details.flow_run_id
    ]
    assert found.description == state.message
    return str(found.data)


def run_of(prefect: SyncPrefectClient, cleanup: str, **parameters: Any) -> UUID:
    run = prefect.create_flow_run(lead_cleanup, parameters={**JUNK, "cleanup": cleanup, **parameters})
    attempt(run)
    return run.id


def test_it_says_what_each_did_and_what_needs_a_person(prefect: SyncPrefectClient, sandbox: CloseAccount) -> None:
    """An approval that is waited for does; a refusal does, until a later run of the same has ended well."""
    sandbox.add(lead("Ann Onymous", "Junk"), lead("B", "Junk"), lead("C"))
    refused = run_of(prefect, "of the digest", expect=7, dry_run=False)
    deleted = run_of(prefect, "of the digest", expect=2, dry_run=False)
    crashed = run_of(prefect, "crashed, of the digest")
    prefect.set_flow_run_state(crashed, Crashed(message="Its process was killed."), force=True)
    waits = prefect.create_flow_run(lead_cleanup, parameters={**JUNK, "cleanup": "asking, of the digest"})
    prefect.set_flow_run_state(waits.id, Suspended(message="Waits for an approval."), force=True)
    organization = sandbox.organization_id()
    sandbox.forget_requests()

    text = digest(prefect)

    needs, did = text.split("### What each did")
    assert f"| of the digest | {escape(organization)} | 2 | 1 Refused, 1 Deleted | 2 deleted |" in did
    assert not any(f"/{each})" in needs for each in (refused, deleted))
    assert f"/{crashed}), Crashed: Its process was killed." in needs
    assert f"/{waits.id}), Suspended: Waits for an approval." in needs
    assert "Onymous" not in text
    assert sandbox.requests() == []


@pytest.mark.parametrize("edited", ["mine", "[]", '{"outcome": "mine"}'])
def test_a_report_that_somebody_edited_counts_as_none(
    prefect: SyncPrefectClient, sandbox: CloseAccount, edited: str
) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"), lead("C"))
    name = f"{len(edited)} edited"
    run_id = run_of(prefect, name)
    page = ArtifactCreate(key=f"{PREFIX}-edited", type="markdown", data=f"```json\n{edited}\n```", flow_run_id=run_id)
    prefect.create_artifact(page)

    assert f"| {name} (dry run) |" in digest(prefect)


def test_what_ran_is_told_apart_by_organisation_also_when_its_deployment_is_gone(
    prefect: SyncPrefectClient, sandbox: CloseAccount
) -> None:
    """As after an offboarding: what was deleted then is not to be lost, nor counted for another organisation."""
    sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"))
    organization = sandbox.organization_id()
    flow_id = prefect.create_flow(lead_cleanup)
    name, tags = f"junk-{uuid4().hex[:6]}", ["organization:acme", organization]
    deployment = prefect.create_deployment(flow_id, name, tags=tags)
    parameters = {**JUNK, "dry_run": False}
    run = prefect.create_flow_run_from_deployment(deployment, parameters=parameters, tags=tags)
    attempt(run)
    elsewhere = prefect.create_flow_run(lead_cleanup, parameters={**parameters, "cleanup": name}, tags=["orga_other"])
    prefect.set_flow_run_state(elsewhere.id, Failed(), force=True)
    prefect.delete_deployment(deployment)

    text = digest(prefect)
    prefect.delete_flow_run(run.id)  # by whose tags the organisation is called acme

    assert f"| {name} | acme | 1 | 1 Deleted | 2 deleted |" in text
    assert f"| {name} | orga\\_other | 1 | 1 Failed | 0 |" in text


@pytest.mark.parametrize(
    ("reports", "leads"),
    [
        ([DELETED, RESTORED], "161 deleted, 1 restored"),
        ([DELETED, DELETED], "322 deleted"),
        ([RESTORED], "1 restored"),
        ([None], "0"),
    ],
)
def test_what_was_restored_hides_nothing_that_was_deleted(reports: list[RunReport | None], leads: str) -> None:
    runs = [ran(report, Completed(name="Done")) for report in reports]

    assert f"| {len(runs)} Done | {leads} |" in markdown(digest_of(*runs), "UTC")


def test_what_the_stop_refuses_needs_nobody_and_has_looked_at_nothing() -> None:
    """The stop itself needs somebody, and so does what failed before it."""
    failed = ran(None, Failed(message="Close is unavailable."))
    refused = ran(None, Failed(name="Refused", message=f"{stop.STOPPED} Freeze."))

    assert [why.partition("), ")[2] for why in needs_a_person(digest_of(failed, refused))] == [
        "Failed: Close is unavailable."
    ]


def ran(report: RunReport | None, state: State[Any]) -> Ran:
    facts = {"flow_id": uuid4(), "state": state, "state_name": state.name, "parameters": {"dry_run": False}}
    return Ran(FlowRun.model_validate(facts), "junk", "acme", report)


def digest_of(*runs: Ran) -> Digest:
    return Digest(NOW - timedelta(days=7), NOW, runs=runs, idle=[], open_claims=[], stopped=None)


def test_it_says_so_when_nothing_happened() -> None:
    nothing = digest_of()

    text = markdown(nothing, "UTC")

    assert "### Needs a person\n\nNothing.\n" in text
    assert "No cleanup ran." in text
    assert nothing.summary == "0 runs, and nothing needs a person."


def test_the_stop_needs_a_person(prefect: SyncPrefectClient) -> None:
    stop.put("Sales asked us to wait")
    try:
        assert f"- {escape(str(stop.sentence()))}" in digest(prefect)
    finally:
        stop.lift()


def test_what_is_not_known_to_have_ended_needs_one_after_any_time(
    prefect: SyncPrefectClient, sandbox: CloseAccount, fake_clock: FakeClock
) -> None:
    """Its claim stays open, and other live runs are refused until somebody has looked."""
    sandbox.add(lead("A", "Junk"), lead("B"), lead("C"))
    sandbox.jobs(stall_after=0)
    run_id = run_of(prefect, "junk", dry_run=False, limits={"max_share": 1.0, "max_wait_minutes": 1})
    prefect.set_flow_run_state(run_id, Failed(name="StillRunning"), force=True)

    assert f"- Not known to have ended, so other live runs are refused: {run_id} (" in digest(prefect).replace("\\", "")
