"""The client and the sandbox read Close's wire format on their own: what they disagree about shows up here."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from deployments.sandbox.server import Sandbox
from tasks.close.client import CloseClient
from tasks.close.errors import CloseError, CloseUnavailable, InvalidQuery, NotAllowed, NotFound, WrongKey
from tasks.close.resources import BulkDelete, BulkStatus, ExportStatus
from tasks.close.settings import CloseSettings

LEADS = {"type": "object_type", "object_type": "lead"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(leads=300, leads_per_second=2000, rate_limits=False) as running:
        yield running


def client(sandbox: Sandbox, key: str = "api_sandbox.admin") -> CloseClient:
    settings = CloseSettings(api_url=sandbox.url, api_key=SecretStr(key))
    return CloseClient(settings, sleep=lambda _: None)


@pytest.fixture
def close(sandbox: Sandbox) -> Iterator[CloseClient]:
    httpx.post(f"{sandbox.base}/sandbox/reset").raise_for_status()
    httpx.delete(f"{sandbox.base}/sandbox/faults").raise_for_status()
    httpx.delete(f"{sandbox.base}/sandbox/requests").raise_for_status()
    with client(sandbox) as connected:
        yield connected


def fault(sandbox: Sandbox, method: str, path: str, name: str, times: int = 1) -> None:
    plan = {"method": method, "path": path, "fault": name, "times": times}
    httpx.post(f"{sandbox.base}/sandbox/faults", json=[plan]).raise_for_status()


def sent(sandbox: Sandbox, method: str, path: str) -> int:
    journal = httpx.get(f"{sandbox.base}/sandbox/requests").raise_for_status().json()
    return sum(entry["method"] == method and entry["path"].endswith(path) for entry in journal)


def junk(close: CloseClient) -> dict[str, object]:
    [status] = [status.id for status in close.lead_statuses() if status.label == "Junk"]
    field = {"type": "regular_field", "object_type": "lead", "field_name": "status_id"}
    condition = {"type": "reference", "reference_type": "status.lead", "object_ids": [status]}
    return {"type": "and", "queries": [LEADS, {"type": "field_condition", "field": field, "condition": condition}]}


def finish(close: CloseClient, job: BulkDelete) -> BulkDelete:
    deadline = time.monotonic() + 30
    while not job.finished and time.monotonic() < deadline:
        time.sleep(0.05)
        job = close.bulk_delete(job.id)
    return job


def test_the_organisation_can_be_looked_up(close: CloseClient) -> None:
    me = close.me()
    organization = close.organization(close.organization_id())

    assert me.id in [member.user_id for member in organization.memberships]
    assert {status.label for status in close.lead_statuses()} >= {"Potential", "Qualified", "Customer", "Junk"}
    assert close.custom_fields("lead")


def test_smart_views_of_every_kind_can_be_read(close: CloseClient) -> None:
    views = {view.name: view for view in close.smart_views()}

    assert views["All Leads"].s_query
    assert any(view.s_query is None for view in views.values()), "a legacy text view"
    assert any(view.is_user_dependent for view in views.values())


def test_a_search_finds_as_many_leads_as_a_count(close: CloseClient) -> None:
    rows = close.search(LEADS, fields=("display_name", "status_id"), limit=10_000)

    assert len(rows) == close.count(LEADS) == 300
    assert all(row["display_name"] for row in rows)
    assert len(close.search(LEADS, limit=7)) == 7


def test_a_bulk_delete_runs_to_its_end(sandbox: Sandbox, close: CloseClient) -> None:
    query = junk(close)
    planned = close.count(query)
    assert planned

    started = close.start_bulk_delete(query)
    job = finish(close, started)

    assert job.status is BulkStatus.DONE
    assert job.processed == job.total == planned
    assert job.s_query == query
    assert job.organization_id == close.organization_id()
    assert job.id in [each.id for each in close.bulk_deletes()]
    assert sent(sandbox, "POST", "/bulk_action/delete/") == 1


@pytest.mark.parametrize("name", ["drop_after", "garbage", "truncate"])
def test_a_lost_reply_is_ambiguous_and_the_job_can_be_found(sandbox: Sandbox, close: CloseClient, name: str) -> None:
    query = junk(close)
    before = len(close.bulk_deletes())
    fault(sandbox, "POST", "/bulk_action/delete/", name)

    with pytest.raises(CloseUnavailable) as caught:
        close.start_bulk_delete(query)

    assert not caught.value.nothing_started
    assert sent(sandbox, "POST", "/bulk_action/delete/") == 1
    assert len(close.bulk_deletes()) == before + 1


def test_an_export_runs_to_its_end_and_can_be_downloaded(sandbox: Sandbox, close: CloseClient) -> None:
    """Its file holds every lead with activities and smart fields; asked for once more, it is just another export."""
    query = junk(close)
    fault(sandbox, "POST", "/export/lead/", "drop_after")

    export = close.start_export(query)
    while not export.finished:
        time.sleep(0.05)
        export = close.export(export.id)
    with close.download(export.id) as chunks:
        leads = json.loads(b"".join(chunks))

    assert export.status is ExportStatus.DONE
    assert export.processed == export.total == len(leads) == close.count(query)
    assert all({"activities", "num_upcoming_meetings", "contacts"} <= set(lead) for lead in leads)
    assert sent(sandbox, "POST", "/export/lead/") == 2


@pytest.mark.parametrize("name", ["status", "drop_before", "drop_after", "garbage", "truncate", "rate_limit"])
def test_a_read_survives_what_can_go_wrong(sandbox: Sandbox, close: CloseClient, name: str) -> None:
    fault(sandbox, "*", "/", name, times=3)

    assert close.count(LEADS) == 300


def test_a_user_without_the_permission_is_refused_and_nothing_starts(sandbox: Sandbox, close: CloseClient) -> None:
    with client(sandbox, "api_sandbox.user") as limited, pytest.raises(CloseError) as caught:
        limited.start_bulk_delete(LEADS)

    assert isinstance(caught.value, NotAllowed | WrongKey)
    assert caught.value.nothing_started
    assert close.count(LEADS) == 300


def test_a_wrong_key_an_unknown_id_and_a_bad_query_are_told_apart(sandbox: Sandbox, close: CloseClient) -> None:
    with client(sandbox, "api_nobody.x") as nobody, pytest.raises(WrongKey):
        nobody.me()
    with pytest.raises(NotFound):
        close.bulk_delete("bulkdelete_doesnotexist")
    with pytest.raises(InvalidQuery):
        close.count({"type": "and", "queries": [LEADS, {"type": "nonsense"}]})


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_rate_limit_is_kept_rather_than_met(separator: str) -> None:
    with Sandbox(leads=10) as sandbox:
        limits = {"separator": separator, "window_seconds": 0.4, "decimals": True}
        httpx.post(f"{sandbox.base}/sandbox/limits", json=limits).raise_for_status()
        settings = CloseSettings(api_url=sandbox.url, api_key=SecretStr("api_sandbox.admin"))

        with CloseClient(settings) as close:
            assert [close.count(LEADS) for _ in range(40)] == [10] * 40
            assert close.rate_limits["POST /data/search/"].limit == 16

        journal = httpx.get(f"{sandbox.base}/sandbox/requests").raise_for_status().json()
        assert [entry["status"] for entry in journal].count(200) == 40
        assert [entry["status"] for entry in journal].count(429) <= 1  # two clocks may differ by a hair
