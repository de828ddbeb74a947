"""The weekly digest: what each cleanup did, what came of it, and what needs a person; from Prefect alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter
from prefect.states import Crashed, Failed, Suspended
from support.attempts import attempt
from support.close_account import CloseAccount, lead
from support.fake_clock import FakeClock

from flows.cleanup_digest import cleanup_digest
from flows.lead_cleanup import lead_cleanup
from tasks.report.artifacts import PREFIX
from tasks.runs import stop
from tasks.summary.digest import KEY, Digest, markdown

pytestmark = pytest.mark.server

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "limits": {"max_share": 1.0}, "backup": False}


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
    assert f"| of the digest | {organization} | 2 | 1 Refused, 1 Deleted | 2 deleted |" in did
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


def test_it_says_so_when_nothing_happened() -> None:
    nothing = Digest(NOW - timedelta(days=7), NOW, runs=[], idle=[], open_claims=[], stopped=None)

    text = markdown(nothing, "UTC")

    assert "### Needs a person\n\nNothing.\n" in text
    assert "No cleanup ran." in text
    assert nothing.summary == "0 runs, and nothing needs a person."


def test_the_stop_needs_a_person(prefect: SyncPrefectClient) -> None:
    stop.put("Sales asked us to wait")
    try:
        assert "- Cleanups are stopped: Sales asked us to wait. `lead-cleanup go`" in digest(prefect)
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
