"""Whole cleanups: against an empty flow with as many tasks, and against a script on Close's own client."""

import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import Any, cast
from uuid import UUID

import closeio_api  # pyright: ignore[reportMissingTypeStubs] - Close ships it without types
from bench.empty_flow import empty
from bench.places import fill, jobs_took, serving, use, without_heartbeats
from bench.table import Row
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from support.close_account import ADMIN, CloseAccount

from deployments.sandbox.organization import STATUS_IDS
from flows.lead_cleanup import lead_cleanup
from tasks.report.ending import report_of

REPEATS = 5
LIMITS = {"max_leads": 100_000, "max_share": 1.0, "ramp": False}
RECORDED_AFTER = 5.0  # seconds until the Prefect server has recorded all task runs
FIELD = {"type": "regular_field", "object_type": "lead", "field_name": "status_id"}
STATUS = {"type": "reference", "reference_type": "status.lead", "object_ids": [STATUS_IDS["Junk"]]}
JUNK = {
    "type": "and",
    "queries": [
        {"type": "object_type", "object_type": "lead"},
        {"type": "field_condition", "field": FIELD, "condition": STATUS},
    ],
}


def rows(repeats: int = REPEATS) -> list[dict[str, Any]]:
    """The rows of this subject."""
    with serving() as [close], without_heartbeats():
        use(close)
        found = [row for leads in (100, 1000) for row in _rows(close, leads, repeats)]
    return [row.model_dump() for row in found]


def _rows(close: CloseAccount, leads: int, repeats: int) -> list[Row]:
    fill(close, leads)
    in_dry_run = tasks_of(cleanup(leads, dry_run=True))
    close.limit_rates()
    in_cleanup = tasks_of(cleanup(leads))
    ways: dict[str, Callable[[], object]] = {
        "empty, dry run": lambda: empty(in_dry_run),
        "dry run": lambda: cleanup(leads, dry_run=True),
        "empty": lambda: empty(in_cleanup),
        "cleanup": lambda: cleanup(leads),
        "script": lambda: script(close.url, leads),
    }
    fill(close, leads)
    script(close.url, leads)  # warm, as the others are by now
    whole: defaultdict[str, list[float]] = defaultdict(list)
    own: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(repeats):
        for name, way in ways.items():
            if not name.startswith("empty"):
                fill(close, leads)
            close.limit_rates()
            began = time.monotonic()
            way()
            whole[name].append(time.monotonic() - began)
            own[name].append(whole[name][-1] - jobs_took(close))
    return [
        Row(
            what=f"Cleanup of {leads:,} leads, without Close's jobs",
            value=median(own["cleanup"]),
            unit="s",
            against=f"an empty flow with {in_cleanup} tasks",
            peer=median(whole["empty"]),
            aim=2,
        ),
        Row(
            what=f"Dry run over {leads:,} leads",
            value=median(whole["dry run"]),
            unit="s",
            against=f"an empty flow with {in_dry_run} tasks",
            peer=median(whole["empty, dry run"]),
            aim=2,
        ),
        Row(
            what=f"Cleanup of {leads:,} leads, whole",
            value=median(whole["cleanup"]),
            unit="s",
            against="a straightforward script",
            peer=median(whole["script"]),
        ),
    ]


def cleanup(leads: int, *, dry_run: bool = False) -> UUID:
    """Run the flow in this process. Returns the run's id."""
    expect = None if dry_run else leads
    state = lead_cleanup(
        match=cast("Any", {"status": ["Junk"]}),
        limits=cast("Any", LIMITS),
        dry_run=dry_run,
        expect=expect,
        return_state=True,
    )
    report = cast("Any", report_of(state))
    assert (report.outcome, report.planned) == ("dry_run" if dry_run else "deleted", leads), state.message
    assert state.state_details.flow_run_id
    return state.state_details.flow_run_id


def tasks_of(run: UUID) -> int:
    """How many tasks the run had."""
    time.sleep(RECORDED_AFTER)
    this = FlowRunFilter.model_validate({"id": {"any_": [run]}})
    with get_client(sync_client=True) as prefect:
        return len(prefect.read_task_runs(flow_run_filter=this))


def script(url: str, leads: int) -> None:
    """What somebody writes who needs it once: count, bulk delete, poll each second."""
    client = cast("Any", closeio_api.Client(ADMIN))
    client.base_url = url
    count = client.post("data/search", {"query": JUNK, "include_counts": True, "results_limit": 0})["count"]["total"]
    assert count == leads
    job = client.post("bulk_action/delete", {"s_query": JUNK, "send_done_email": False})
    while job["status"] not in ("done", "error"):
        time.sleep(1)
        job = client.get(f"bulk_action/delete/{job['id']}")
    assert job["n_objects_processed"] == leads
