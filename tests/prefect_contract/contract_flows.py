"""The flows that a worker runs for these tests. Each notes what it sees in a file that outlives its process."""

import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.flow_runs import suspend_flow_run
from prefect.flows import Flow
from pydantic import BaseModel, ConfigDict

LONG = 600  # seconds; nobody waits so long


class Note(BaseModel):
    """What code of a run saw when it ran."""

    what: str
    pid: int
    run_id: UUID
    attempt: int
    expected_start: datetime | None


class Rules(BaseModel):
    """Parameters as ours are: a model that takes no other field."""

    model_config = ConfigDict(extra="forbid")

    max_leads: int = 500


def note(what: str, run: FlowRun | None = None) -> None:
    """Append a `Note` to the file that the run's parameter ``notes`` names. *run*: the one we are in, unless given."""
    context = FlowRunContext.get()
    run = run or (context.flow_run if context else None)
    if run is None:
        raise RuntimeError("note() is called in a flow only")
    seen = Note(
        what=what, pid=os.getpid(), run_id=run.id, attempt=run.run_count, expected_start=run.expected_start_time
    )
    with Path(run.parameters["notes"]).open("a") as file:
        file.write(seen.model_dump_json() + "\n")


def _note_cancellation(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    # Called with keywords in that process: under other names than these three a hook fails there, and only in its log.
    del flow, state
    note("hook", flow_run)


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def step() -> None:
    """A task as ours are."""
    note("task")


@flow(persist_result=False)
def interrupted(notes: str) -> None:
    """Blocks in its first attempt, and ends in the second."""
    del notes
    note("start")
    step()
    context = FlowRunContext.get()
    if context and context.flow_run and context.flow_run.run_count == 1:
        time.sleep(LONG)
    note("end")


@flow(persist_result=False)
def suspended(notes: str) -> None:
    """Waits, without a process, until somebody resumes it."""
    del notes
    note("start")
    step()
    suspend_flow_run(timeout=LONG)
    note("end")


@flow(persist_result=False, on_cancellation=[_note_cancellation])
def cancelled(notes: str) -> None:
    """Blocks until it is cancelled."""
    del notes
    note("start")
    try:
        time.sleep(LONG)
    finally:
        note("end")


@flow(persist_result=False)
def prompt(notes: str, rules: Rules = Rules(), dry_run: bool = True) -> None:  # noqa: B008 - as in our flow
    """Ends at once."""
    del notes, rules, dry_run
    note("start")
