"""How a restore ends: what it has created or would create, what is missing and what can't come back, as one report."""

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field

from tasks.close.resources import Kind
from tasks.report.artifacts import publish_report
from tasks.report.ending import Ending
from tasks.report.model import HEADLINES, Report, RunReport
from tasks.restore.create import Restored
from tasks.restore.new_objects import LOST
from tasks.restore.plan import RestorePlan
from tasks.runs.outcomes import Outcome
from tasks.runs.run import Run
from tasks.runs.wording import counted

HEADLINES_HERE = {
    **HEADLINES,
    Outcome.DRY_RUN: "Dry run: nothing was restored",
    Outcome.REFUSED: "Refused: nothing was restored",
}
KINDS = {
    "lead": ("lead", "leads"),
    "contact": ("contact", "contacts"),
    "opportunity": ("opportunity", "opportunities"),
    "task": ("task", "tasks"),
    "note": ("note", "notes"),
    "call": ("call", "calls"),
    "sms": ("SMS", "SMS"),
}
"""What Close calls one object of a kind, and several."""
AGAIN = "Run the restore again to continue: it creates nothing twice."
OLD_DATES = (
    "Restored leads keep their dates where Close allows it, so a cleanup whose criteria they still meet will plan them "
    "again."
)


class RestoreReport(RunReport):
    """What a restore did. The names in JSON are a contract: ``lead-cleanup restore --json`` prints them."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    wanted: dict[str, int] = Field(default_factory=dict[str, int])
    """Objects that were to be created when the run began, by kind."""
    created: dict[str, int] = Field(default_factory=dict[str, int])
    """Objects that this run has created, by kind."""
    adopted: int | None = None
    """Objects found in Close: an attempt that was interrupted, or got no answer, had created them."""
    rejected: dict[str, int] = Field(default_factory=dict[str, int])
    """Objects that Close rejected, by kind."""
    still_in_close: int | None = Field(default=None, alias="there")
    """Leads that Close still has under their old ids."""
    restored_before: int | None = Field(default=None, alias="before")
    """Leads that an earlier restore, of this or another backup, has restored."""
    deleted_since: int | None = Field(default=None, alias="gone")
    """Leads that an earlier attempt had created in part, and that were deleted since."""
    missing: tuple[str, ...] = ()
    """What the organisation lacks, one phrase each."""
    lost: dict[str, int] = Field(default_factory=dict[str, int])
    """What in the backup can't be restored, and how much of it there is."""
    changed_by_close: dict[str, int] = Field(default_factory=dict[str, int], alias="unlike")
    """Fields that Close set to another value than it was sent, such as ``date_created of task``, and how often."""

    @property
    def headline(self) -> str:
        """The outcome in words."""
        return HEADLINES_HERE[self.outcome]

    def counts(self) -> list[tuple[str, int]]:
        """The numbers of objects by kind, and of leads that need no restore."""
        planned = self.outcome in {Outcome.DRY_RUN, Outcome.REFUSED}
        leads = [
            ("Found in Close", self.adopted),
            ("Leads still in Close", self.still_in_close),
            ("Leads restored before", self.restored_before),
            ("Leads deleted since an earlier attempt", self.deleted_since),
        ]
        return [
            *_by_kind(self.wanted if planned else self.created, ""),
            *_by_kind(self.rejected, " rejected by Close"),
            *((name, number) for name, number in leads if number),
        ]


def _by_kind(numbers: Mapping[str, int], what: str) -> list[tuple[str, int]]:
    return [(many[0].upper() + many[1:] + what, numbers[kind]) for kind, (_, many) in KINDS.items() if kind in numbers]


def read(found: Mapping[str, Any]) -> RunReport:
    """Return the report, of a restore or of a cleanup, that was published as *found*; without the sample.

    Raises ValidationError for what is none, or a later version's.
    """
    return (RestoreReport if "wanted" in found else Report).model_validate(found)


class RestoreEnding(Ending):
    """Collects what is known during a restore, and turns it into the report."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.plan: RestorePlan | None = None
        self.restored: Restored | None = None

    def _verdict(self) -> tuple[Outcome, str]:
        if self.restored is None:
            raise RuntimeError("the restore ended without a result")
        return verdict(self.restored)

    def _conclude(self, outcome: Outcome, message: str) -> RestoreReport:
        report = RestoreReport(
            outcome=outcome,
            message=message,
            flow_run_id=str(self.run.id),
            **(_of_plan(self.plan, self.restored) if self.plan else {}),
            **(_of_restored(self.restored) if self.restored else {}),
        )
        publish_report(self.run, report, self.plan.organization if self.plan else "")
        return report


def verdict(done: Restored) -> tuple[Outcome, str]:
    """Whether everything was restored, and a sentence that says so."""
    leads = counted(done.created["lead"], "lead")
    if done.problem is not None:
        outcome, message = done.problem
        begun = bool(done.created or done.adopted)
        ends = Outcome.FAILED if begun and outcome is Outcome.REFUSED else outcome
        return ends, f"{message} Restored so far: {leads}. {AGAIN}"
    if rejected := done.rejected.total():
        objects = counted(rejected, "object")
        return (
            Outcome.FAILED,
            f"Restored {leads}, but Close rejected {objects}: the journal in the backup's folder says which, and why. "
            f"{AGAIN}",
        )
    if done.created and not done.created["lead"]:
        return Outcome.RESTORED, "Completed what an earlier restore had begun, with everything that can come back."
    return Outcome.RESTORED, f"Restored {leads}, with everything that can come back."


def _of_plan(plan: RestorePlan, done: Restored | None) -> dict[str, Any]:
    return {
        "organization_id": plan.organization_id,
        "backup": plan.url,
        "wanted": plan.found.counts,
        "still_in_close": len(plan.found.still_in_close) + (done.still_in_close if done else 0),
        "restored_before": plan.found.restored_before
        + len(plan.found.restored_from_other_backup)
        + (done.restored_meanwhile if done else 0),
        "missing": tuple(plan.gaps()),
        "lost": plan.mapping.lost,
        "notes": tuple(_notes(plan, done)),
    }


def _of_restored(done: Restored) -> dict[str, Any]:
    return {
        "created": done.created,
        "adopted": done.adopted,
        "rejected": done.rejected,
        "changed_by_close": {f"{name} of {kind}": number for (name, kind), number in done.changed_by_close.items()},
        "deleted_since": done.deleted_since,
    }


def _notes(plan: RestorePlan, done: Restored | None) -> list[str]:
    """What a person should know of a restore, one sentence each. Without names of leads."""
    changed: Mapping[tuple[str, Kind], int] = done.changed_by_close if done else {}
    return [
        *(f"{gap}." for gap in plan.gaps()),
        *(f"Close changed {name} on {counted(each, *KINDS[kind])}." for (name, kind), each in changed.items()),
        *plan.notes(),
        *(f"Not restored: {what} ({number:,})." for what, number in plan.mapping.lost.items()),
        *(f"Not restored: {each}" for each in LOST),
        OLD_DATES,
    ]
