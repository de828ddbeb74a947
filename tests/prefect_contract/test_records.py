"""What the ledger rests on: Prefect's Variables and labels.

Each test says in its assertion what of ours would break.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID, uuid4

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.exceptions import ObjectAlreadyExists
from prefect.runtime import flow_run
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from pydantic import ValidationError
from support.proxy import Proxy, Spoil

from tasks.runs.connect import PREFECT_ERRORS

pytestmark = [pytest.mark.server, pytest.mark.exhaustive, pytest.mark.xdist_group("prefect_contract")]

COPIES = 8


def name() -> str:
    """A name as the ledger gives."""
    return f"lead_cleanup_run_{uuid4()}"


def test_creating_a_variable_has_one_winner(server: str) -> None:
    """Rests on it: of several copies of a run, one claims, and so one starts a bulk delete."""
    shared, together = name(), Barrier(COPIES)

    def create(copy: int) -> int | None:
        with SyncPrefectClient(server) as prefect:
            together.wait()
            try:
                prefect.create_variable(VariableCreate(name=shared, value={"nonce": copy}))
            except ObjectAlreadyExists:
                return None
        return copy

    with ThreadPoolExecutor(COPIES) as threads:
        winners = [copy for copy in threads.map(create, range(COPIES)) if copy is not None]

    assert len(winners) == 1, (
        f"{len(winners)} of {COPIES} created the same Variable: a claim no longer has one winner, and two copies of a "
        "run could both start a bulk delete. tasks/ledger/store.py needs another compare-and-set."
    )
    with SyncPrefectClient(server) as prefect:
        standing = prefect.read_variable_by_name(shared)
    assert standing, "A Variable that was created can't be read back: ledger.claim can't tell whose claim stands."
    assert standing.value == {"nonce": winners[0]}, (
        "The Variable doesn't hold what its winner wrote: ledger.claim errs."
    )


@pytest.mark.parametrize("spoil", ["busy", "drop_before"])
def test_the_client_repeats_no_write_when_it_is_told_so(server: str, spoil: Spoil) -> None:
    """Rests on it: a repeated write to the ledger reads the record again, and no stale copy erases a cancellation."""
    shared = name()

    with Proxy(server) as proxy, SyncPrefectClient(f"{proxy.address}/api") as prefect:
        prefect.create_variable(VariableCreate(name=shared, value=1))
        proxy.trouble("PATCH /api/variables/", spoil)
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), pytest.raises(PREFECT_ERRORS):
            prefect.update_variable(VariableUpdate(name=shared, value=2))
        standing = prefect.read_variable_by_name(shared)

    assert standing, "A Variable is gone after a failed update."
    assert standing.value == 1, "Prefect's client repeats a write that it should not: see repeat_write in connect.py."


def test_creating_a_variable_is_repeated_when_its_reply_is_lost(server: str) -> None:
    """Rests on it: a record has a nonce, and "already exists" is no defeat while the nonce that stands is ours."""
    lost = name()

    with Proxy(server) as proxy, SyncPrefectClient(f"{proxy.address}/api") as prefect:
        proxy.trouble("POST /api/variables/", "drop_after")
        try:
            prefect.create_variable(VariableCreate(name=lost, value={"nonce": "mine"}))
            outcome = "created"
        except ObjectAlreadyExists:
            outcome = "already exists"
        standing = prefect.read_variable_by_name(lost)

    assert standing, "A create whose reply was lost took no effect: the proxy no longer produces the accident."
    assert standing.value == {"nonce": "mine"}
    assert outcome == "already exists", (
        f"A create whose reply was lost now ends {outcome!r}. It was repeated, and met its own Variable; the nonce in "
        "tasks/ledger/store.py was needed for that only. Keep it unless Prefect promises one of the two."
    )


def test_a_variable_holds_a_record_of_5000_characters_and_no_more(prefect: SyncPrefectClient) -> None:
    """Rests on it: a record holds counts and ids, while the query stands in the plan's artifact."""
    largest = "x" * (5000 - len('""'))

    try:
        prefect.create_variable(VariableCreate(name=name(), value=largest))
    except ValidationError as error:
        raise AssertionError(
            "A Variable no longer takes 5,000 characters of JSON: see that tasks/ledger's largest record fits."
        ) from error
    with pytest.raises(ValidationError):
        VariableCreate(name=name(), value=largest + "x")


@pytest.mark.parametrize("wrong", ["Lead_cleanup", "lead cleanup", "lead.cleanup", "lead/cleanup"])
def test_a_variables_name_is_lower_case_words(prefect: SyncPrefectClient, wrong: str) -> None:
    """Rests on it: records are named by their run's id, in a form that needs no escaping."""
    fine = name()

    assert prefect.create_variable(VariableCreate(name=fine, value=1)).name == fine
    with pytest.raises(ValidationError):
        VariableCreate(name=wrong, value=1)


def test_a_label_is_added_to_the_others_and_read_back(here: None, prefect: SyncPrefectClient) -> None:
    """Rests on it: people find the run of a bulk delete by its label, and what else labels a run stays."""

    @flow
    def labelled() -> None:
        run_id = UUID(flow_run.get_id())
        prefect.update_flow_run_labels(run_id, {"theirs": "stays"})
        prefect.update_flow_run_labels(run_id, {"close.bulk_delete_id": "bulkdelete_1"})

    state = labelled(return_state=True)

    run_id = state.state_details.flow_run_id
    assert run_id
    labels = prefect.read_flow_run(run_id).labels
    assert labels.get("close.bulk_delete_id") == "bulkdelete_1", (
        "Labels aren't read back: the run of a bulk delete is lost."
    )
    assert labels.get("theirs") == "stays", (
        "Updating labels replaces the others: ledger.update takes people's labels away."
    )


def test_a_variable_is_updated_and_deleted_by_its_id_and_never_another_of_its_name(prefect: SyncPrefectClient) -> None:
    """Rests on it: of several who see a dead lock, one takes it, and its old holder can't extend it any more."""
    shared = name()
    dead = prefect.create_variable(VariableCreate(name=shared, value={"nonce": "dead"}))
    prefect.request("PATCH", f"/variables/{dead.id}", json={"value": {"nonce": "extended"}})  # pyright: ignore
    extended = prefect.read_variable_by_name(shared)
    prefect.request("DELETE", f"/variables/{dead.id}")  # pyright: ignore
    prefect.create_variable(VariableCreate(name=shared, value={"nonce": "next"}))

    for method, body in (("PATCH", {"value": {"nonce": "late"}}), ("DELETE", None)):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            prefect.request(method, f"/variables/{dead.id}", json=body)  # pyright: ignore
        assert refused.value.response.status_code == 404, (
            "A Variable that is gone is no longer a 404: tasks/backup/lease.py can't tell that its lock was taken over."
        )
    standing = prefect.read_variable_by_name(shared)

    assert extended
    assert extended.value == {"nonce": "extended"}, "A lock can't be extended by its id: tasks/backup/lease.py errs."
    assert standing
    assert standing.value == {"nonce": "next"}, (
        "The id of a deleted Variable reached its successor: two could hold the lock of one backup."
    )
