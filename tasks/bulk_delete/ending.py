"""How a cleanup ends."""

from uuid import UUID

from tasks.backup.archive import Archive
from tasks.bulk_delete.interrupted import Interrupted, pause_cancelled, pause_suspended
from tasks.bulk_delete.reconcile import Log, verdict
from tasks.bulk_delete.wait import Finished, out_of_sight
from tasks.ledger.record import BackupTaken, Record
from tasks.plan import ramp
from tasks.plan.model import Plan
from tasks.report.artifacts import publish_report
from tasks.report.ending import Ending
from tasks.report.model import Report, of_plan, with_backup
from tasks.runs.attempts import interruptions, states_of
from tasks.runs.logs import log_if_it_fails
from tasks.runs.outcomes import Outcome
from tasks.runs.run import Run


class CleanupEnding(Ending):
    """Collects the evidence while a cleanup runs, and says how it ends."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.record: Record | None = None
        self.plan: Plan | None = None
        self.plan_page: UUID | None = None
        self.backup: BackupTaken | None = None
        self.bulk_delete_id: str | None = None
        self.finished: Finished | None = None
        self.remaining: int | None = None
        self.log: Log | None = None
        self._interrupted: Interrupted | None = None

    def _verdict(self) -> tuple[Outcome, str]:
        if self.plan is None or self.finished is None or self.remaining is None:
            raise RuntimeError("the run ended without a result")
        return verdict(self.plan, self.finished.job, self.remaining, self.log)

    def _conclude(self, outcome: Outcome, message: str) -> Report:
        if self._started and outcome in {Outcome.REFUSED, Outcome.FAILED, Outcome.NOTHING_TO_DO}:
            outcome, message = self._despite_the_start(message)
        if outcome is Outcome.DELETED and self.plan:
            with log_if_it_fails("Advancing the ramp"):
                ramp.advance(self.run, self.plan.organization_id, self.plan.criteria_digest)
        job = self.finished.job if self.finished else self._interrupted and self._interrupted.job
        report = Report(
            outcome=outcome,
            message=message,
            **(of_plan(self.plan) if self.plan else {}),
            bulk_delete_id=self._known_id,
            processed=job.processed if job else None,
            remaining=self.remaining,
            logged=self.log.deleted if self.log else None,
            polls=self.finished.polls if self.finished else None,
            flow_run_id=str(self.run.id),
        )
        with log_if_it_fails("Reading how the run was interrupted"):
            report = report.model_copy(update={"notes": (*report.notes, *interruptions(states_of(self.run)))})
        report = with_backup(report, self.backup_taken, started=self._started)
        publish_report(self.run, report, self.plan.organization if self.plan else "", self.plan_page)
        if self.backup_taken:
            with log_if_it_fails("Storing the report with the backup"):
                Archive.at(self.backup_taken.url).store_report(report)
        return report

    def _despite_the_start(self, message: str) -> tuple[Outcome, str]:
        """How a run ends that may have started a bulk delete, and then could not find out what became of it."""
        known = self._known_id
        if known is None:
            return Outcome.UNKNOWN, message
        if not self._has_ended:
            return Outcome.STILL_RUNNING, out_of_sight(known, message)
        if self.finished and self.remaining is None:
            job = self.finished.job
            message = (
                f"Bulk delete {known} is {job.status}, after {job.progress}, but what is left isn't known: {message}"
            )
        return Outcome.FAILED, message

    @property
    def _has_ended(self) -> bool:
        """Whether the bulk delete that this run knows of is known to have ended."""
        record = self.record
        return self.finished is not None or bool(record and record.ended and record.bulk_delete_id == self._known_id)

    @property
    def _known_id(self) -> str | None:
        if self._interrupted and self._interrupted.bulk_delete_id:
            return self._interrupted.bulk_delete_id  # Prefect never returns what a task that was suspended returned
        return self.bulk_delete_id or (self.record.bulk_delete_id if self.record else None)

    def _pause_suspended(self) -> str:
        self._interrupted = pause_suspended(self.run, self._known_id)
        return self._interrupted.sentence

    def _pause_if_cancelled(self) -> str | None:
        if self._has_ended:
            return None
        self._interrupted = pause_cancelled(self.run, self._known_id)
        return self._interrupted and self._interrupted.sentence

    @property
    def _started(self) -> bool:
        """Whether this run has started a bulk delete, or may have."""
        return self._known_id is not None or (self.record is not None and not self.record.may_plan_again)

    @property
    def backup_taken(self) -> BackupTaken | None:
        """The run's backup, taken by this attempt or an earlier one."""
        return self.backup or (self.record.backup if self.record else None)
