"""Messages to people and the events of runs, on a real server with its triggers, and an HTTP server that receives."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from deployed_runs import DEPLOYED, wait_for
from foreign_flow import somebody_elses
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.events.filters import EventAnyResourceFilter, EventFilter, EventNameFilter
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Failed, Suspended
from support.attempts import attempt, cancelled
from support.close_account import CloseAccount, lead
from support.receiver import Receiver, receiving

from deployments import automations, notifications

pytestmark = DEPLOYED

JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "limits": {"max_share": 1.0}, "backup": False}
SEE = "See Close."
SECRET = "Ann Onymous"


def messages(receiver: Receiver) -> list[dict[str, str]]:
    """What has arrived, as JSON."""
    return [json.loads(body) for _, body in receiver.received]


def about(receiver: Receiver, run_id: UUID) -> dict[str, str] | None:
    """The message that ends with a link to this run."""
    return next((each for each in messages(receiver) if each["body"].strip().endswith(f"/{run_id}")), None)


@pytest.fixture
def here(prefect: SyncPrefectClient, sandbox: CloseAccount) -> Iterator[SyncPrefectClient]:
    """Runs in this process belong to the server under test; heartbeats cost each a second."""
    sandbox.add(lead(SECRET, "Junk"), lead("B", "Junk"), lead("C"))
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield prefect
        EventsWorker.drain_all()  # before this process forgets the server


@pytest.fixture
def receiver(here: SyncPrefectClient) -> Iterator[Receiver]:
    """A notification block that sends to it, and the automations, as `make deploy` applies them."""
    wanted = notifications.read()
    with receiving() as receiver:
        block = CustomWebhookNotificationBlock(
            name="us",
            url=receiver.url,
            headers=None,
            cookies=None,
            json_data={"subject": "{{subject}}", "body": "{{body}}"},
        )
        block_id = cast("UUID", block.save(wanted.block))  # pyright: ignore[reportUnknownMemberType]
        assert list(notifications.apply(here, wanted)) == [
            f"Created the automation {each.name!r}." for each in wanted.through(block_id)
        ]
        try:
            yield receiver
        finally:
            for each in wanted.through(block_id):
                for found in here.read_automations_by_name(each.name):
                    here.delete_automation(found.id)
            here.delete_block_document(block_id)


def run_of(prefect: SyncPrefectClient, **parameters: Any) -> FlowRun:
    """A run of a deployment of ours, by which it has our tag. No worker takes it."""
    ad_hoc = prefect.read_deployment_by_name("lead-cleanup/ad-hoc")
    return prefect.create_flow_run_from_deployment(ad_hoc.id, parameters={**JUNK, **parameters})


def set_to(prefect: SyncPrefectClient, run: FlowRun, state: State[Any]) -> UUID:
    prefect.set_flow_run_state(run.id, state, force=True)
    return run.id


def test_people_are_told_what_needs_them_and_nothing_else(here: SyncPrefectClient, receiver: Receiver) -> None:
    """By the server's triggers. What nobody is told comes first, so that its message would have arrived by the end."""
    set_to(here, here.create_flow_run(somebody_elses), Failed())
    attempt(run_of(here, expect=7))
    ends = ("Failed", "Unknown", "StillRunning")
    told = {set_to(here, run_of(here), Failed(name=name, message=SEE)): name for name in ends}
    waits = set_to(here, run_of(here), Suspended(message=SEE))
    attempt(refused := run_of(here, expect=7, dry_run=False))
    told |= {waits: "waits for a person", refused.id: "Refused"}

    wait_for(lambda: all(about(receiver, each) for each in told) or None, lambda: messages(receiver))

    assert len(messages(receiver)) == len(told)
    for run_id, what in told.items():
        message = about(receiver, run_id)
        assert message
        assert message["subject"] == f"{here.read_flow_run(run_id).name}: {what}"
        assert (SEE if run_id != refused.id else "The plan has 2 leads, not 7 as expected.") in message["body"]
    assert SECRET not in json.dumps(messages(receiver))


def events_of(prefect: SyncPrefectClient, run_id: UUID, *names: str) -> dict[str, dict[str, Any]]:
    """The run's own events by name, once those *names* are among them; each occurs once."""
    run = EventAnyResourceFilter(id=[f"prefect.flow-run.{run_id}"])
    wanted = EventFilter(event=EventNameFilter(prefix=["lead-cleanup."]), any_resource=run)

    def look() -> list[dict[str, Any]] | None:
        page = prefect.request("POST", "/events/filter", json={"filter": wanted.model_dump(mode="json")})
        found: list[dict[str, Any]] = page.raise_for_status().json()["events"]
        return found if set(names) <= {each["event"] for each in found} else None

    found = wait_for(look, lambda: names)
    assert len({each["event"] for each in found}) == len(found)
    return {each["event"]: each for each in found}


def test_a_run_says_in_events_how_many_leads_and_never_which(here: SyncPrefectClient) -> None:
    attempt(run := run_of(here, dry_run=False))

    found = events_of(here, run.id, "lead-cleanup.planned", "lead-cleanup.started", "lead-cleanup.deleted")

    planned, started, deleted = (found[f"lead-cleanup.{name}"] for name in ("planned", "started", "deleted"))
    counts = {"total": 3, "matched": 2, "kept": {"total": 0}, "planned": 2}
    assert planned["payload"] == started["payload"] == {**counts, "waiting": 0}
    assert deleted["payload"].items() >= {**counts, "processed": 2, "remaining": 0}.items()
    assert {each["resource"]["lead-cleanup.mode"] for each in found.values()} == {"live"}
    assert SECRET not in json.dumps(found)


@pytest.mark.exhaustive
def test_a_run_that_its_process_and_its_hook_cancel_says_so_once(here: SyncPrefectClient) -> None:
    run = run_of(here, dry_run=False)

    cancelled(run.id)
    cancelled(run.id)
    attempt(after := run_of(here))

    events_of(here, after.id, "lead-cleanup.dry-run")
    assert set(events_of(here, run.id, "lead-cleanup.cancelled")) == {"lead-cleanup.cancelled"}


def test_without_the_block_nothing_is_applied_and_its_name_is_said(prefect: SyncPrefectClient) -> None:
    [said] = notifications.apply(prefect, wanted := notifications.read())

    assert f"there is no notification block {wanted.block}" in said
    assert all(not prefect.read_automations_by_name(each.name) for each in wanted.through(UUID(int=0)))


def test_a_file_without_a_block_is_refused(tmp_path: Path) -> None:
    (file := tmp_path / "file.yaml").write_text("automations: []")
    with pytest.raises(automations.WrongFile, match=r"file\.yaml has no block"):
        notifications.read(file)
