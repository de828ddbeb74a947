"""A run that waits for a person, on a real server with a real worker, answered as the Prefect UI answers."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from deployed_runs import DEPLOYED, StartWorker, await_state, history, read_all, wait_for
from prefect.client.orchestration import SyncPrefectClient
from support.close_account import CloseAccount

from deployments import automations
from tasks.approval.ask import BY_EXPIRY

pytestmark = DEPLOYED

SOONEST = 10  # seconds: the least that Prefect takes for `within`


@pytest.mark.exhaustive  # tests/deployments/test_in_a_browser.py shows it in the UI itself
def test_a_person_sees_the_numbers_in_the_form_and_the_run_goes_on_with_the_answer(
    prefect: SyncPrefectClient, start_worker: StartWorker, close: CloseAccount, asked: UUID
) -> None:
    with start_worker():
        await_state(prefect, asked, "Suspended")
        wait_for(lambda: form(prefect, asked), lambda: "there is no form")
        fields, text = form(prefect, asked) or ({}, "")
        shown = plans(prefect, asked)
        before = close.writes()

        incomplete = answer(prefect, asked, leads=2)
        answered = answer(prefect, asked, leads=2, approver="Ann", note="As agreed.")
        run = await_state(prefect, asked, "Deleted")

    assert {name: field["title"] for name, field in fields.items()} == {
        "leads": "Number of leads",
        "approver": "Your name",
        "note": "Note",
    }
    assert text.startswith("2 of 4 leads would be deleted.")
    assert f"(/artifacts/artifact/{shown[0]['id']})" in text
    assert (before, incomplete["status"], answered["status"]) == ([], "REJECT", "ACCEPT")
    assert "'approver' is a required property" in incomplete["details"]["reason"]
    assert run.run_count == 1
    assert len(close.leads()) == 2


@pytest.mark.exhaustive
def test_a_request_that_nobody_answers_ends_as_expired(
    prefect: SyncPrefectClient, start_worker: StartWorker, close: CloseAccount, asked: UUID
) -> None:
    """By an automation that puts the run back, here after seconds, and the run's own word."""
    *_, expires = automations.read()
    trigger = expires.trigger.model_copy(update={"within": timedelta(seconds=SOONEST)})
    automations.apply(prefect, [expires.model_copy(update={"trigger": trigger})])
    try:
        with start_worker():
            run = await_state(prefect, asked, "Expired")
    finally:
        automations.apply(prefect, automations.read())

    assert run.state
    assert run.state.message == "Nobody approved the plan to delete 2 leads within 72 hours."
    assert BY_EXPIRY in [state.message for state in history(prefect, asked)]
    assert run.run_count == 1
    assert close.writes() == []


def form(prefect: SyncPrefectClient, run_id: UUID) -> tuple[dict[str, Any], str] | None:
    """The fields and the text that the Prefect UI shows when somebody is about to resume the run."""
    run = ask(prefect, f"/flow_runs/{run_id}").json()
    keys = run["state"]["state_details"]["run_input_keyset"]
    schema = ask(prefect, f"/flow_runs/{run_id}/input/{keys['schema']}")
    text = ask(prefect, f"/flow_runs/{run_id}/input/{keys['description']}")
    return (schema.json()["properties"], text.json()) if schema.is_success and text.is_success else None


def plans(prefect: SyncPrefectClient, run_id: UUID) -> list[dict[str, Any]]:
    """The plans that the run has shown."""
    found = read_all(str(prefect.api_url), "artifacts")
    return [each for each in found if each["flow_run_id"] == str(run_id) and each["key"].endswith("-plan")]


def answer(prefect: SyncPrefectClient, run_id: UUID, **given: object) -> dict[str, Any]:
    """What the Prefect UI sends then, and what it is told; sent again where a busy server is short of breath."""
    url = f"{str(prefect.api_url).rstrip('/')}/flow_runs/{run_id}/resume"

    def send() -> httpx.Response | None:
        response = httpx.post(url, json={"run_input": given})
        return None if response.status_code == 503 else response

    return wait_for(send, lambda: f"{url} stays unavailable").raise_for_status().json()


def ask(prefect: SyncPrefectClient, path: str) -> httpx.Response:
    return httpx.get(f"{str(prefect.api_url).rstrip('/')}{path}")
