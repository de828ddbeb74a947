"""Running the flow in this process: the Prefect server it needs, its log as plain lines, its report.

Importing this module imports Prefect, which takes seconds: commands do it when everything else has been checked.
"""

import logging
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact, FlowRun, State
from prefect.exceptions import PrefectException
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    temporary_settings,
)
from prefect.utilities.urls import url_for

from flows.commands.parameters import Parameters
from flows.commands.terminal import Usage, say
from flows.lead_cleanup import lead_cleanup
from tasks import ledger
from tasks.quiet import hush
from tasks.report import Report

CODE = Path(__file__).parents[2]
OURS = tuple(str(CODE / folder) for folder in ("flows", "tasks"))
SERVER_STARTS_WITHIN = 90  # seconds
ENGINE = ("prefect.flow_runs", "prefect.task_runs")


UNREACHABLE = (PrefectException, httpx.HTTPError)


class Defect(Exception):
    """The run ended without a report: neither it nor Close foresaw what happened."""


class _Said(logging.Handler):
    """Our own messages, and warnings of others, as plain lines on stderr.

    What Prefect's engine says of every run and task is left out, unless it is an exception that nobody foresaw.
    """

    def emit(self, record: logging.LogRecord) -> None:
        ours = record.pathname.startswith(OURS)
        chatter = record.name.startswith(ENGINE) and not record.exc_info
        if not ours and (chatter or record.levelno < logging.WARNING):
            return
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.title()}: "
        for line in f"{prefix}{_formatter.format(record)}".splitlines():
            say(line)


_formatter = logging.Formatter("%(message)s")


@cache
def speak_plainly() -> None:
    """Replace Prefect's console log by `_Said`, once."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(_Said())
    logging.getLogger("tasks").setLevel(logging.INFO)
    hush()


def need_server(reason: str | None) -> None:
    """Have a Prefect server: the one that is set, or else a temporary one that lives as long as this process.

    Raises `Usage` if there is none and a lasting one is needed, for *reason*: a sentence. Raises RuntimeError if the
    temporary one doesn't start.
    """
    if PREFECT_API_URL.value():
        return
    if reason or not PREFECT_SERVER_ALLOW_EPHEMERAL_MODE.value():
        why = reason or "A run needs a Prefect server."
        raise Usage(f"{why} Start one with `prefect server start`, and set PREFECT_API_URL.")
    server = SubprocessASGIServer()
    if not server.running:
        say("No Prefect server is set: starting a temporary one, which takes about 15 seconds …")
        server.start(timeout=SERVER_STARTS_WITHIN)


class Execution:
    """One run of the flow in this process."""

    def __init__(self) -> None:
        self.run_id: UUID | None = None

    def run(self, parameters: Parameters, cleanup: str | None) -> Report:
        """Run the flow and give its report.

        Raises `Defect` if there is none, and Prefect's own errors when its server can't be reached.
        """
        observed = lead_cleanup.with_options(on_running=[self._note])
        given = {name: getattr(parameters, name) for name in Parameters.model_fields}
        # A heartbeat is for automations that restart what died; it costs a second at the end of every run.
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            state: State[Any] = observed(**given, cleanup=cleanup, return_state=True)
            report: object = state.result(raise_on_failure=False)
        if not isinstance(report, Report):
            raise Defect(str(state.message or state.name))
        return report

    def _note(self, flow: object, flow_run: FlowRun, state: object) -> None:
        del flow, state
        self.run_id = flow_run.id

    def bulk_delete_id(self) -> str | None:
        """The bulk delete that the run has started, as far as its record tells."""
        if self.run_id is None:
            return None
        with suppress(PrefectException, httpx.HTTPError, RuntimeError):
            record = ledger.read(self.run_id)
            return record.bulk_delete_id if record else None
        return None


def run_url(run_id: str | None) -> str | None:
    """Where the run can be looked at, if its server has an address that lasts."""
    return url_for("flow-run", obj_id=run_id) if run_id and PREFECT_API_URL.value() else None


def plan_artifact(run_id: str | None) -> Artifact | None:
    """What the run published as its plan: the sample as a table, and notes."""
    if run_id is None:
        return None
    with get_client(sync_client=True) as prefect:
        found = prefect.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(run_id)]))
        )
    return next((each for each in found if each.key and each.key.endswith("-plan")), None)
