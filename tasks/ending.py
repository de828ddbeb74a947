"""How a run ends: whatever happens becomes one report, published once, and a Prefect state of its own."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from tasks import ramp
from tasks.close.errors import CloseError
from tasks.outcomes import Outcome, Stop, outcome_of
from tasks.plan import Plan
from tasks.publish import harmless, lay_beside_backup, publish_report
from tasks.record import Backup, Record
from tasks.report import Log, Report, Unsuccessful, of_plan, verdict, with_backup
from tasks.run import Run
from tasks.waiting import Finished


class Ending(ABC):
    """Turns what ends a run into the report.

    Used as a context manager around a run. A `Stop` and what Close refuses end the run in order; anything else, such as
    being cancelled or a defect of ours, goes through and leaves the state to Prefect.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._report: Report | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        match error:
            case None:
                outcome, message = self._verdict()
            case Stop() | CloseError():
                outcome, message = outcome_of(error), str(error)
            case _:
                return False
        self._report = self._concluded(outcome, message)
        return True

    @abstractmethod
    def _verdict(self) -> tuple[Outcome, str]:
        """What the run has come to that nothing has stopped, and a sentence that says so."""

    @abstractmethod
    def _concluded(self, outcome: Outcome, message: str) -> Report:
        """The report, which has been published."""

    @property
    def state(self) -> State[Any]:
        """The run's final state; `report_of` finds the report in it."""
        if self._report is None:
            raise RuntimeError("the run has not ended yet")
        return state_of(self._report)


class CleanupEnding(Ending):
    """Collects the evidence while a cleanup goes on, and says how it ends."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.record: Record | None = None
        self.plan: Plan | None = None
        self.backup: Backup | None = None
        self.bulk_delete_id: str | None = None
        self.finished: Finished | None = None
        self.remaining: int | None = None
        self.log: Log | None = None

    def _verdict(self) -> tuple[Outcome, str]:
        if self.plan is None or self.finished is None or self.remaining is None:
            raise RuntimeError("the run came to its end without a result")
        return verdict(self.plan, self.finished.job, self.remaining, self.log)

    def _concluded(self, outcome: Outcome, message: str) -> Report:
        if outcome in {Outcome.REFUSED, Outcome.FAILED, Outcome.NOTHING_TO_DO}:
            outcome = self._given_what_was_started(outcome)
        if outcome is Outcome.DELETED and self.plan:
            with harmless("How far the ramp has come"):
                ramp.note(self.run, self.plan.organization_id, self.plan.criteria)
        report = Report(outcome=outcome, message=message, **self._evidence())
        report = with_backup(report, self.kept_copy, started=self._started)
        publish_report(self.run, report, self.plan.organization if self.plan else "")
        with harmless("The report beside the backup"):
            lay_beside_backup(report)
        return report

    def _given_what_was_started(self, outcome: Outcome) -> Outcome:
        """Refused means that nothing was deleted: not so once this run has started a bulk delete, or may have."""
        if self.bulk_delete_id:
            return Outcome.FAILED
        return Outcome.UNKNOWN if self._started else outcome

    @property
    def _started(self) -> bool:
        """Whether this run has started a bulk delete, or may have."""
        return self.bulk_delete_id is not None or (self.record is not None and not self.record.plans_anew)

    @property
    def kept_copy(self) -> Backup | None:
        """The run's backup, whichever attempt has taken it."""
        return self.backup or (self.record.backup if self.record else None)

    def _evidence(self) -> dict[str, Any]:
        job = self.finished.job if self.finished else None
        return {
            **(of_plan(self.plan) if self.plan else {}),
            "bulk_delete_id": self.bulk_delete_id or (self.record.bulk_delete_id if self.record else None),
            "processed": job.processed if job else None,
            "remaining": self.remaining,
            "logged": self.log.deleted if self.log else None,
            "polls": self.finished.polls if self.finished else None,
            "flow_run_id": str(self.run.id),
        }


def state_of(report: Report) -> State[Any]:
    """The final state of the run that ended as *report* says."""
    if report.outcome.good:
        return Completed(name=report.outcome.state_name, message=report.message, data=report)
    ended = Cancelled if report.outcome is Outcome.CANCELLED else Failed
    return ended(name=report.outcome.state_name, message=report.message, data=Unsuccessful(report))


def report_of(state: State[Any]) -> Report | None:
    """The report of a finished run, or None if the run ended without one: crashed, or cancelled."""
    if not state.is_final():
        return None
    result: object = state.result(raise_on_failure=False)
    if isinstance(result, Unsuccessful):
        return result.report
    return result if isinstance(result, Report) else None
