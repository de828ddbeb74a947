"""A run is named by its id, by the first eight digits of it or more, or by its name, where that is one run."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from support.terminal_session import Command

from flows.lead_cleanup import lead_cleanup as flow
from tasks.runs.look_up import look_up
from tasks.runs.outcomes import Refused

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture
def prefect(prefect_server: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def created(prefect: SyncPrefectClient, name: str | None = None) -> FlowRun:
    return prefect.create_flow_run(flow, parameters={}, name=name or f"run {uuid4()}")


def test_each_of_many_runs_is_found_by_any_way_to_write_it(prefect: SyncPrefectClient):
    for run in [created(prefect) for _ in range(7)]:
        whole = str(run.id)
        for text in (whole, run.id.hex, whole[:8], whole[:11].upper(), whole[:-1], run.name):
            assert look_up(text).id == run.id


def test_what_is_not_one_run_is_refused(prefect: SyncPrefectClient):
    run = created(prefect)
    first = str(run.id)[:8]

    for none in (first[:7], str(uuid4()), str(uuid4())[:13], "no such run", f"{first}-zzz"):
        with pytest.raises(Refused, match="There is no run"):
            look_up(none)

    created(prefect, first)  # people may call a run anything
    with pytest.raises(Refused, match="write the whole id"):
        look_up(first)
    assert look_up(str(run.id)).id == run.id


def test_a_run_of_another_flow_is_not_one_of_ours(prefect: SyncPrefectClient):
    other = prefect.create_flow_run(Flow(lambda: None, name="foreign"), name=f"run {uuid4()}")

    for text, sentence in ((str(other.id), "but of 'foreign'"), (str(other.id)[:8], "no run"), (other.name, "no run")):
        with pytest.raises(Refused, match=sentence):
            look_up(text)


@pytest.mark.parametrize("words", [("ledger", "--give-up"), ("resume", "--start-again")])
def test_what_cannot_be_undone_takes_the_whole_id_and_shows_it(
    lead_cleanup: Command, prefect: SyncPrefectClient, words: tuple[str, ...]
):
    """At a terminal it asks instead."""
    run = created(prefect)

    for text in (str(run.id)[:8], run.name):
        lead_cleanup(*words, text).is_one_line(f"For this, write the whole id: {text!r} is run {run.id} ({run.name};")
    lead_cleanup(*words, str(run.id)).is_one_line(str(run.id), code=3)
