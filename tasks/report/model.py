"""The report of a run: one frozen value, and what it tells people. Pure."""

import re
from abc import abstractmethod
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_jsonable_python

from tasks.close.query.conditions import FixedUtc
from tasks.ledger.record import BackupTaken
from tasks.plan.model import Approved, Cascade, OverLimit, Plan, Planned, SampleLead
from tasks.report.escaping import words
from tasks.report.picture import Bar
from tasks.runs.outcomes import Foreseen, Outcome
from tasks.runs.wording import counted

HEADLINES = {outcome: outcome.words for outcome in Outcome} | {
    Outcome.DRY_RUN: "Dry run: nothing was deleted",
    Outcome.REFUSED: "Refused: nothing was deleted",
    Outcome.DECLINED: "Declined: nothing was deleted",
    Outcome.EXPIRED: "Expired: nothing was deleted",
}


BY_KIND = ("kept", "created")
"""Fields of reports that hold several counts, each by the name of a rule or of a kind of object."""
MATCHED, KEPT, PLANNED, WAITING = "Matched", "Kept", "Planned", "Waiting for later runs"
DELETED, LEFT, KEPT_BY = "Deleted by Close", "Planned and still matching", "Kept by "
KINDS = {
    MATCHED: "matched",
    KEPT: "kept",
    PLANNED: "planned",
    WAITING: "waiting",
    DELETED: "deleted",
    LEFT: "left",
}
"""The numbers of the picture, and the kinds of their bars."""
OUTSIDE = ("approved", "waiting", "logged", "criteria", "protects", "cascade")
"""What a cleanup's evidence has beside the fields of the contract."""


class RunReport(BaseModel):
    """What the reports of cleanups and of restores have in common."""

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    message: str
    organization_id: str | None = None
    backup: str | None = None
    flow_run_id: str | None = None
    notes: tuple[str, ...] = Field(default=(), exclude=True, repr=False)

    @property
    def headline(self) -> str:
        """The outcome in words."""
        return HEADLINES[self.outcome]

    @property
    def below_headline(self) -> str:
        """The message without the word that the headline above it has said, such as ``Suspended:``."""
        return re.sub(rf"^{self.headline}:? ([A-Za-z])", lambda rest: rest[1].upper(), self.message)

    @property
    def in_one_line(self) -> str:
        """The outcome and the message."""
        return self.message if self.message.startswith(self.headline) else f"{self.headline}. {self.message}"

    @property
    def summary(self) -> str:
        """The outcome and the main numbers, in one line."""
        main = {each.name for each in self.bars() if not each.name.startswith(KEPT_BY)}
        numbers = [f"{name}: {number:,}" for name, number in self.counts() if name in main or not main]
        return ". ".join(filter(None, (self.headline, ", ".join(numbers))))

    def evidence(self) -> dict[str, Any]:
        """Everything as JSON, including the notes; without the name of any lead."""
        return self.model_dump(mode="json") | {"notes": self.notes}

    def numbers(self) -> dict[str, Any]:
        """The counts alone, by their names in JSON: what an event may carry. No text, no ids, no names."""
        evidence = self.evidence().items()
        return {name: found for name, found in evidence if isinstance(found, int) or (found and name in BY_KIND)}

    def bars(self) -> list[Bar]:
        """The numbers that make a picture."""
        return []

    @property
    def undo(self) -> str | None:
        """The command that begins to undo what the run did; None if nothing is to be undone, or nothing can be."""
        return None

    def alarms(self) -> list[str]:
        """What nobody may overlook."""
        return []

    @abstractmethod
    def counts(self) -> list[tuple[str, int]]:
        """The known numbers, each with its name."""

    def facts(self) -> list[tuple[str, str | None]]:
        """Other facts, each with its name; None where unknown."""
        return [("Organisation", self.organization_id), ("Backup", self.backup), ("Run", self.flow_run_id)]


class Report(RunReport):
    """What a cleanup did. The field names are a contract: ``lead-cleanup run --json`` prints them."""

    as_of: str | None = None
    digest: str | None = None
    s_query: dict[str, Any] | None = None
    matched: int | None = None
    kept: dict[str, int] | None = None
    planned: int | None = None
    total: int | None = None
    bulk_delete_id: str | None = None
    processed: int | None = None
    remaining: int | None = None
    polls: int | None = None
    over_limit: tuple[OverLimit, ...] = ()
    # Outside the contract:
    criteria: str = Field(default="", exclude=True)
    protects: dict[str, str] = Field(default_factory=dict[str, str], exclude=True)
    cascade: Cascade | None = Field(default=None, exclude=True)
    approved: Approved | None = Field(default=None, exclude=True)
    waiting: int | None = Field(default=None, exclude=True)
    logged: int | None = Field(default=None, exclude=True)
    # Only for the terminal, never in JSON or a log, since it names leads.
    sample: tuple[SampleLead, ...] = Field(default=(), exclude=True, repr=False)

    def evidence(self) -> dict[str, Any]:
        """Everything but the sample as JSON: the fields of the contract and those outside it."""
        return super().evidence() | {name: to_jsonable_python(getattr(self, name)) for name in OUTSIDE}

    def alarms(self) -> list[str]:
        """The limits that a dry run exceeds; a run that is refused names them in its message."""
        return list(map(str, self.over_limit)) if self.outcome is Outcome.DRY_RUN else []

    def facts(self) -> list[tuple[str, str | None]]:
        """Other facts, each with its name; None where unknown."""
        return [
            ("Cut-off", self.as_of),
            ("Bulk delete", self.bulk_delete_id),
            ("Approved", str(self.approved) if self.approved else None),
            *super().facts(),
            ("Digest of the query", self.digest),
        ]

    def counts(self) -> list[tuple[str, int]]:
        """The known numbers of leads, from all to those that remain."""
        kept = self.kept or {}
        counts = [
            ("Leads in all", self.total),
            (MATCHED, self.matched),
            *((f"{KEPT_BY}{words(rule)}", number) for rule, number in kept.items() if rule != "total"),
            (KEPT, kept.get("total")),
            (PLANNED, self.planned),
            (WAITING, self.waiting),
            (DELETED, self.processed),
            ("Deleted by its event log", self.logged),
            (LEFT, self.remaining),
        ]
        return [(name, number) for name, number in counts if number is not None]

    def bars(self) -> list[Bar]:
        """Each number that counts leads among those that matched, where these leads stand: the kept ones first."""
        kept = (self.kept or {}).get("total", 0)
        starts = {PLANNED: kept, WAITING: kept + (self.planned or 0), DELETED: kept, LEFT: kept + (self.processed or 0)}
        return [
            Bar(name, "kept" if name.startswith(KEPT_BY) else KINDS[name], starts.get(name, 0), number)
            for name, number in self.counts()
            if name in KINDS or name.startswith(KEPT_BY)
        ]

    @property
    def undo(self) -> str | None:
        """The command that shows what the backup would restore."""
        if not (self.backup and self.processed and self.flow_run_id):
            return None
        return f"lead-cleanup restore {self.flow_run_id}"

    @property
    def overlap(self) -> str:
        """Why the numbers of the keep rules are more than all that are kept; empty where they aren't."""
        kept = self.kept or {"total": 0}
        by_rules = sum(kept.values()) - kept["total"]
        return "A lead can be kept by several rules." if by_rules > kept["total"] else ""

    @property
    def along(self) -> str | None:
        """What goes, or went, with the leads."""
        return self.cascade.sentence(gone=self.outcome is Outcome.DELETED) if self.cascade else None


class Unsuccessful(Foreseen):
    """The data of a failed run's state, and what the flow raises when called without ``return_state``."""

    def __init__(self, report: RunReport) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        return self.report.in_one_line


def with_backup(report: Report, backup: BackupTaken | None, *, started: bool) -> Report:
    """*report* with the place and the end of its *backup*; or with a note that a run which *started* has none.

    Another note says so if only a person's word vouches that the place lasts.
    """
    if backup:
        until = f"The backup of {counted(backup.leads, 'lead')} stays until {backup.keep_until:%Y-%m-%d}."
        notes = (*report.notes, *([VOUCHED] if backup.vouched else []))
        return report.model_copy(update={"backup": backup.url, "message": f"{report.message} {until}", "notes": notes})
    return report.model_copy(update={"notes": (*report.notes, NO_BACKUP)}) if started else report


NO_BACKUP = "There is no backup of the deleted leads: `backup` is off in this run."
VOUCHED = (
    "The backup is in a folder on a mounted volume. CLOSE_BACKUP_FOLDER_LASTS says that this volume "
    "outlives the run; nothing has verified that."
)


def of_plan(plan: Plan) -> dict[str, Any]:
    """The fields of a report that a plan determines."""
    return {
        **of_planned(plan),
        "s_query": plan.s_query,
        "criteria": plan.criteria,
        "protects": plan.protects,
        "cascade": plan.cascade,
        "over_limit": plan.over_limit,
        "notes": plan.notes,
        "sample": plan.sample,
    }


def of_planned(planned: Planned) -> dict[str, Any]:
    """The fields of a report that the ledger's record determines, too."""
    return {
        "organization_id": planned.organization_id,
        "as_of": FixedUtc.at(planned.as_of).value,
        "digest": planned.digest,
        "matched": planned.counts.matched,
        "kept": planned.counts.kept,
        "planned": planned.counts.planned,
        "waiting": planned.counts.waiting or None,
        "total": planned.counts.total,
        "approved": planned.approved,
    }
