"""How a run ends: with one report, published once, and a Prefect state named after its outcome."""

from abc import ABC, abstractmethod
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Pause, TerminationSignal
from prefect.states import Cancelled, Completed, Failed
from prefect.states import Suspended as SuspendedState

from tasks.close.errors import CloseError
from tasks.report.model import RunReport, Unsuccessful
from tasks.runs import events
from tasks.runs.alive import check_latest
from tasks.runs.connect import PrefectUnavailable
from tasks.runs.heartbeat import send_heartbeat
from tasks.runs.outcomes import Outcome, Stop, outcome_of
from tasks.runs.own_state import Suspended, is_suspended, is_suspended_now
from tasks.runs.run import AD_HOC, Run, run_of

THEN_RETRY = "Then retry this run: no run starts anything twice."
"""After a sentence that says what is to be fixed in Prefect, or its settings."""


class Ending(ABC):
    """A context manager around a run that turns its end into the report.

    A `Stop` or a `CloseError` becomes a report. Any other exception, such as a cancellation or a bug, propagates, and
    Prefect sets the state; a report on what a person has interrupted is published all the same. Only the latest attempt
    speaks for the run: an earlier one raises `Superseded` instead.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._report: RunReport | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        match error:
            case None:
                outcome, message = self._verdict()
            case Suspended():
                outcome, message = Outcome.SUSPENDED, self._pause_suspended()
            case Pause() if error.state and is_suspended(error.state):  # noticed by Prefect, between two tasks
                if is_suspended_now(self.run.id):  # not if another process has resumed it since
                    self._conclude(Outcome.SUSPENDED, self._pause_suspended())
                elif cancelled := self._pause_if_cancelled():
                    self._conclude(Outcome.CANCELLED, cancelled)
                return False
            case TerminationSignal():
                if cancelled := self._pause_if_cancelled():
                    self._conclude(Outcome.CANCELLED, cancelled)
                return False
            case Stop(outcome=Outcome.CANCELLED):
                outcome, message = Outcome.CANCELLED, self._pause_if_cancelled() or str(error)
            case PrefectUnavailable():
                outcome, message = error.outcome, f"{error} {THEN_RETRY}"
            case Stop() | CloseError():
                outcome, message = outcome_of(error), str(error)
            case _:
                return False
        with suppress(PrefectUnavailable):
            check_latest(self.run)
        self._report = self._conclude(outcome, message)
        ended = self._report.outcome
        if ended.good and ended is not Outcome.SKIPPED and self.run.deployment_id:
            send_heartbeat()
        return True

    @abstractmethod
    def _verdict(self) -> tuple[Outcome, str]:
        """The outcome of a run that no exception has ended, and a sentence on it."""

    @abstractmethod
    def _conclude(self, outcome: Outcome, message: str) -> RunReport:
        """Do what such an end asks for, publish the report, and return it."""

    def _pause_suspended(self) -> str:
        """Do what is to be done at once when a person has suspended the run, and return a sentence on it."""
        return f"Suspended by a person. Resume in Prefect, or `lead-cleanup resume {self.run.id}`, continues."

    def _pause_if_cancelled(self) -> str | None:
        """Do what is to be done at once if a person has cancelled the run; return a sentence on it, or None."""
        return None

    @property
    def state(self) -> State[Any]:
        """The run's final state; `report_of` finds the report in it."""
        if self._report is None:
            raise RuntimeError("the run has not ended yet")
        return state_of(self._report)


def state_of(report: RunReport) -> State[Any]:
    """The final state of the run that ended with *report*."""
    outcome = report.outcome
    if outcome is Outcome.SUSPENDED:
        return SuspendedState(message=report.message)
    state = Completed if outcome.good else Cancelled if outcome is Outcome.CANCELLED else Failed
    return state(name=outcome.state_name, message=report.message, data=report if outcome.good else Unsuccessful(report))


def announce(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's hook for a run that has ended, which emits the event of its outcome; Prefect names the arguments.

    Prefect has the state by then, so a message about the event can say why.
    """
    del flow
    if report := report_of(state):
        emit_end(run_of(flow_run, AD_HOC), report)


def emit_end(run: Run, report: RunReport) -> None:
    """Emit the event that *run* has ended with *report*; Prefect drops a second one of the same attempt."""
    events.emit(run, report.outcome.replace("_", "-"), report.numbers(), once=True)


def report_of(state: State[Any]) -> RunReport | None:
    """The report of a finished run, or None if it crashed or was cancelled without one."""
    if not state.is_final():
        return None
    result: object = state.result(raise_on_failure=False)
    if isinstance(result, Unsuccessful):
        return result.report
    return result if isinstance(result, RunReport) else None
