"""Running the flow in this process: the Prefect server it needs, its log as plain lines, its report.

Importing this module imports Prefect, which takes seconds: commands do it when everything else has been checked.
"""

import logging
import re
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from textwrap import shorten
from typing import Any, cast
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.logging.handlers import PrefectConsoleHandler
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    temporary_settings,
)
from prefect.states import Cancelled, Pending
from prefect.utilities.urls import url_for

from flows.console.asking import ask_for_approval, somebody_is_there
from flows.console.parameters import Parameters
from flows.console.terminal import Usage, say
from flows.lead_cleanup import lead_cleanup
from flows.restore_leads import restore_leads
from tasks.approval import ask
from tasks.bulk_delete.cancel import cancel
from tasks.plan.overrides import Guards
from tasks.report import progress
from tasks.report.artifacts import recall_report, runs_before
from tasks.report.ending import report_of
from tasks.report.model import RunReport
from tasks.report.page import PastRun
from tasks.restore.report import read
from tasks.runs.alive import Superseded, alive
from tasks.runs.connect import PREFECT_ERRORS, check_prefect, prefect
from tasks.runs.logs import LOGGERS, OURS, in_log_of, log_if_it_fails
from tasks.runs.outcomes import Outcome, Stop
from tasks.runs.run import cleanup_of, guards_context, run_of

SERVER_STARTS_WITHIN = 90  # seconds
LONGEST_DEFECT = 500  # characters; the message of an exception may hold all that was sent


class Defect(Exception):
    """The run ended without a report: an error that nobody foresaw."""


_formatter = logging.Formatter("%(message)s")


class _Said(logging.Handler):
    """Our own messages, and warnings of others, as plain lines on stderr.

    What Prefect's engine logs about every run and task is left out, unless it is an unexpected exception. Remembers the
    bulk delete that our messages named: it continues when this process is interrupted, whereas a temporary server,
    which has the record, is interrupted with it.
    """

    bulk_delete_id: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Print *record*, unless it is left out."""
        ours = record.name.startswith(f"{OURS}.")
        chatter = record.name.startswith(LOGGERS) and not record.exc_info
        if not ours and (chatter or record.levelno < logging.WARNING):
            return
        if progress.watch and hasattr(record, "step"):  # a bar shows it
            return
        if found := re.search(r"\bbulkdelete_\w+", record.getMessage()):
            self.bulk_delete_id = found[0]
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.title()}: "
        for line in f"{prefix}{_formatter.format(record)}".splitlines():
            say(line)


_said = _Said()


def speak_plainly() -> None:
    """Print our own messages in place of Prefect's console log."""
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, PrefectConsoleHandler)]:
        root.removeHandler(handler)
    root.addHandler(_said)
    logging.getLogger(OURS).setLevel(logging.INFO)
    logging.raiseExceptions = False  # whoever reads a message here needn't know that the server didn't get it


def need_server(reason: str | None) -> None:
    """Connect to the Prefect server that is set, or else start a temporary one that lives as long as this process.

    Raises `Usage` if there is none and a lasting one is needed, for *reason*: a sentence. Raises `PrefectUnavailable`
    if the settings can't be used, or the server that is set doesn't answer or refuses the credentials; and `Stop` if
    the temporary one doesn't start.
    """
    if PREFECT_API_URL.value():
        check_prefect()
        return
    if reason or not PREFECT_SERVER_ALLOW_EPHEMERAL_MODE.value():
        why = reason or "A run needs a Prefect server."
        raise Usage(f"{why} Start one with `make server`, and set PREFECT_API_URL to its address.")
    from prefect.server.api.server import SubprocessASGIServer  # not needed where a server is set

    server = SubprocessASGIServer()
    if not server.running:
        say("No Prefect server is set: starting a temporary one. On a new database that can take a minute …")
        began = time.monotonic()
        try:
            server.start(timeout=SERVER_STARTS_WITHIN)
        except (*PREFECT_ERRORS, RuntimeError) as error:
            raise Stop(Outcome.FAILED, f"The temporary Prefect server doesn't start: {error}") from None
        say(f"The temporary Prefect server is ready, after {time.monotonic() - began:.0f} s.")


class Execution:
    """One run of the flow in this process."""

    def __init__(self) -> None:
        self.run_id: UUID | None = None
        self.has_begun = False
        """Whether there may be a run, so that something may have been started."""

    @property
    def bulk_delete_id(self) -> str | None:
        """The bulk delete that this process has started or found, as far as its messages tell."""
        return _said.bulk_delete_id

    def run(self, parameters: Parameters, cleanup: str | None, deployed: Mapping[str, Any] | None = None) -> RunReport:
        """Run the flow and return its report. *deployed* has the parameters of the deployment that it started from.

        Raises `Defect` if there is none, and `PrefectUnavailable` or an error of Prefect's own.
        """
        given = {name: getattr(parameters, name) for name in Parameters.model_fields}
        stored = lead_cleanup.serialize_parameters({**given, "cleanup": cleanup})
        context: dict[str, Any] = {}
        if deployed is not None:
            context = guards_context({name: value for name, value in deployed.items() if name in Guards.model_fields})
        with prefect() as server:
            created = server.create_flow_run(lead_cleanup, parameters=stored, context=context, state=Pending())
        return self._attempt(created)

    def restore(self, **parameters: Any) -> RunReport:
        """Run the flow that restores a backup, and return its report; the rest as `run`.

        Interrupted, it simply ends: its journal says where the next run continues.
        """
        self.has_begun = True
        with self._unwatched():
            try:
                return self._report(restore_leads(**parameters, return_state=True))
            except Pause as suspended:
                return _report_of_suspended(suspended)

    def retry(self, run_id: UUID) -> RunReport:
        """Run the flow once more as the flow run *run_id*, with its parameters; the rest as `run`."""
        self.run_id, self.has_begun = run_id, True
        with prefect() as server:
            found = server.read_flow_run(run_id)
        return self._attempt(found)

    def cancel(self) -> RunReport:
        """Cancel the run, which has been interrupted. Raises `Stop` where the ledger can't be read."""
        if self.run_id is None:
            raise RuntimeError("there is no run to cancel")
        with prefect() as server, in_log_of(self.run_id):
            found = server.read_flow_run(self.run_id)
            report = cancel(run_of(found, cleanup_of(found)))
            server.set_flow_run_state(self.run_id, Cancelled(message=report.message), force=True)
        return report

    def _attempt(self, run: FlowRun) -> RunReport:
        self.run_id, self.has_begun = run.id, True
        ask.ask_here = ask_for_approval if somebody_is_there() else None
        try:
            with self._unwatched(), alive(run.id) if PREFECT_API_URL.value() else nullcontext():
                state = run_flow(lead_cleanup, flow_run=run, parameters=run.parameters, return_type="state")
        except Superseded as error:
            raise Stop(Outcome.FAILED, str(error)) from None
        except Pause as suspended:
            return _report_of_suspended(suspended)
        return self._report(cast("State[Any]", state))

    @contextmanager
    def _unwatched(self) -> Generator[None]:
        # A heartbeat is for automations that restart what died; it costs a second at the end of every run.
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield

    def _report(self, state: State[Any]) -> RunReport:
        report = report_of(state)
        if report is None:
            raise Defect(shorten(str(state.message or state.name), LONGEST_DEFECT, placeholder=" …"))
        return report


def _report_of_suspended(suspended: Pause) -> RunReport:
    """What the run published that a person has suspended in the Prefect UI."""
    run_id = suspended.state and suspended.state.state_details.flow_run_id
    if run_id is None:
        raise Defect("It was suspended.")
    return read(recall_report(run_id))


def run_url(run_id: str | None) -> str | None:
    """Where the run can be looked at, if its server has an address that lasts."""
    return url_for("flow-run", obj_id=run_id) if run_id and PREFECT_API_URL.value() else None


def earlier_runs(run_id: str | None) -> list[PastRun]:
    """The last runs of the same cleanup, as far as they can be read."""
    with log_if_it_fails("Reading the earlier runs"):
        return runs_before(UUID(run_id)) if run_id else []
    return []
