"""How a restore ends: what it would have made or has made, what is missing and what is lost, as one report."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field

from tasks.report.artifacts import publish_report
from tasks.report.ending import Ending
from tasks.report.model import HEADLINES, Report, RunReport
from tasks.restore.create import Restored
from tasks.restore.new_objects import LOST
from tasks.restore.plan import DELETED_AGAIN, RestorePlan
from tasks.runs.outcomes import Outcome
from tasks.runs.run import Run

HEADLINES_HERE = {
    **HEADLINES,
    Outcome.DRY_RUN: "Dry run: nothing was restored",
    Outcome.REFUSED: "Refused: nothing was restored",
}
KINDS = {
    "lead": "Leads",
    "contact": "Contacts",
    "opportunity": "Opportunities",
    "task": "Tasks",
    "note": "Notes",
    "call": "Calls",
    "sms": "SMS",
}
AGAIN = "Run the restore again to go on: what is there is not made twice."
OLD_DATES = (
    "Restored leads keep their dates where Close lets them: a cleanup whose criteria they still meet plans them again."
)


class RestoreReport(RunReport):
    """What a restore did. The names in JSON are a contract: ``lead-cleanup restore --json`` prints them."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    wanted: dict[str, int] = Field(default_factory=dict[str, int])
    """What there was to make when the run began, by kind."""
    created: dict[str, int] = Field(default_factory=dict[str, int])
    """What this run has made, by kind."""
    adopted: int | None = None
    """Objects that were found to be there: an attempt that was cut off had made them."""
    rejected: dict[str, int] = Field(default_factory=dict[str, int])
    still_in_close: int | None = Field(default=None, alias="there")
    """Leads that Close has under their old ids."""
    restored_before: int | None = Field(default=None, alias="before")
    """Leads that an earlier restore has made, with everything."""
    deleted_since: int | None = Field(default=None, alias="gone")
    """Leads of which an earlier attempt had made only a part when somebody deleted them."""
    missing: tuple[str, ...] = ()
    lost: dict[str, int] = Field(default_factory=dict[str, int])
    changed_by_close: dict[str, int] = Field(default_factory=dict[str, int], alias="unlike")
    """Fields that Close shows with another value than it was sent, such as ``date_created of task``: on how many."""

    @property
    def headline(self) -> str:
        """The outcome in words."""
        return HEADLINES_HERE[self.outcome]

    def counts(self) -> list[tuple[str, int]]:
        """The numbers of objects by kind, and of leads that need nothing."""
        planned = self.outcome in {Outcome.DRY_RUN, Outcome.REFUSED}
        counted: list[tuple[str, Mapping[str, int]]] = [("", self.wanted if planned else self.created)]
        counted.append((" that Close rejects", self.rejected))
        rows = [(name + what, found[kind]) for what, found in counted for kind, name in KINDS.items() if kind in found]
        others = [
            ("Found to be there already", self.adopted),
            ("Leads that were never gone", self.still_in_close),
            ("Leads restored before", self.restored_before),
            ("Leads deleted since an earlier attempt", self.deleted_since),
        ]
        return rows + [(name, number) for name, number in others if number]


def read(text: str) -> RunReport:
    """The report, of a restore or of a cleanup, that was published as this JSON; without the sample."""
    found = json.loads(text)
    return (RestoreReport if "wanted" in found else Report).model_validate(found)


class RestoreEnding(Ending):
    """Collects what is known while a restore goes on, and says how it ends."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.plan: RestorePlan | None = None
        self.restored: Restored | None = None

    def _verdict(self) -> tuple[Outcome, str]:
        if self.restored is None:
            raise RuntimeError("the restore came to its end without a result")
        return verdict(self.restored)

    def _concluded(self, outcome: Outcome, message: str) -> RestoreReport:
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
    """Whether everything is there that was to be made, and a sentence that says so."""
    leads = done.created["lead"]
    said = f"{leads:,} {'lead is' if leads == 1 else 'leads are'} restored"
    if done.problem is not None:
        outcome, message = done.problem
        begun = bool(done.created or done.adopted)
        ends = Outcome.FAILED if begun and outcome is Outcome.REFUSED else outcome
        return ends, f"{message} {said} so far. {AGAIN}"
    if rejected := done.rejected.total():
        objects = "object" if rejected == 1 else "objects"
        return (
            Outcome.FAILED,
            f"{said}, but Close rejects {rejected:,} {objects}: the journal beside the backup says which, and why. "
            f"{AGAIN}",
        )
    return Outcome.RESTORED, f"{said}, with everything that can come back."


def _of_plan(plan: RestorePlan, done: Restored | None) -> dict[str, Any]:
    return {
        "organization_id": plan.organization_id,
        "backup": plan.url,
        "wanted": plan.counts,
        "still_in_close": len(plan.there),
        "restored_before": plan.before + len(plan.elsewhere),
        "missing": tuple(plan.gaps()),
        "lost": plan.lost,
        "notes": tuple(_notes(plan, done)),
    }


def _of_restored(done: Restored) -> dict[str, Any]:
    return {
        "created": done.created,
        "adopted": done.adopted,
        "rejected": done.rejected,
        "changed_by_close": done.unlike,
        "deleted_since": done.gone,
    }


def _notes(plan: RestorePlan, done: Restored | None) -> list[str]:
    """What a person should know of a restore, a sentence each. Without names of leads."""
    unlike: Mapping[str, int] = done.unlike if done else {}
    taken, again = len(plan.forgotten), plan.deleted_again
    return [
        *(f"{gap}." for gap in plan.gaps()),
        *(f"Not restored: {number:,} {what}." for what, number in plan.lost.items()),
        *(f"Close keeps otherwise than it was sent: {what}, {number:,} times." for what, number in unlike.items()),
        *([f"Deleted since they were restored: {again:,} leads. {DELETED_AGAIN}"] if again else []),
        *([f"{taken:,} leads were taken out of this backup at somebody's request."] if taken else []),
        *(f"Lost: {each}" for each in LOST),
        OLD_DATES,
    ]
