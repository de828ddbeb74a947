"""Events about a run, for automations: what it has planned, asked and started, and how it has ended.

``lead-cleanup.planned``, ``….approval-asked``, ``….started``, and ``….<outcome>`` such as ``….still-running``. They
carry counts, and no names of leads or people.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4, uuid5

from prefect.events import emit_event

from tasks.runs.connect import prefect
from tasks.runs.run import Run

PREFIX = "lead-cleanup."
MODE = "lead-cleanup.mode"
"""The label of an event's resource that says whether the run may delete: ``live`` or ``dry-run``. A trigger can't go by
the run's tags for that: the server attaches those that the run had when it was first heard of."""


def emit(run: Run, what: str, counts: Mapping[str, Any], *, once: bool = False) -> None:
    """Emit the event ``lead-cleanup.<what>`` about *run*. Neither fails nor delays it.

    Prefect sends it in the background, and what is left when the process ends; one may be lost with its process.
    *once*: Prefect drops the event if this attempt has emitted it before.
    """
    identity = uuid5(run.id, f"{what} {run.attempt}") if once else None
    emit_event(f"{PREFIX}{what}", _resource(run), payload=dict(counts), id=identity)


def send(run: Run, what: str, counts: Mapping[str, Any]) -> None:
    """Send the event ``lead-cleanup.<what>`` about *run*, with its tags, and return when the server has it.

    For an event that an automation waits for. Raises `PrefectUnavailable`.
    """
    with prefect() as server:
        event = {
            "id": str(uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": f"{PREFIX}{what}",
            "resource": _resource(run),
            "related": [
                {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{tag}"}
                for tag in server.read_flow_run(run.id).tags
            ],
            "payload": dict(counts),
        }
        server.request("POST", "/events", json=[event]).raise_for_status()


def _resource(run: Run) -> dict[str, str]:
    """The run, named as in Prefect's own events of runs."""
    return {"prefect.resource.id": f"prefect.flow-run.{run.id}", MODE: "live" if run.live else "dry-run"}
