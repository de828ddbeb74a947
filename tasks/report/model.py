"""The report of a run: one frozen value, and how people see it. Pure."""

import json
from abc import abstractmethod
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tasks.close.query.conditions import FixedUtc
from tasks.ledger.record import BackupTaken
from tasks.plan.model import Approved, OverLimit, Plan, Planned, SampleLead
from tasks.report.escaping import escape, table, words
from tasks.runs.outcomes import Foreseen, Outcome
from tasks.runs.wording import counted

HEADLINES = {outcome: outcome.value.replace("_", " ").capitalize() for outcome in Outcome} | {
    Outcome.DRY_RUN: "Dry run: nothing was deleted",
    Outcome.REFUSED: "Refused: nothing was deleted",
    Outcome.DECLINED: "Declined: nothing was deleted",
    Outcome.EXPIRED: "Expired: nothing was deleted",
}


BY_KIND = ("kept", "created")
"""Fields of reports that hold several counts, each by the name of a rule or of a kind of object."""


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

    def markdown(self) -> str:
        """The report as markdown, followed by the same as JSON. Has counts and ids, never the name of a lead."""
        blocks = [f"## {self.headline}", escape(self.message), *(f"**{escape(each)}**" for each in self.alarms())]
        blocks += [table(self.rows())]
        blocks += [f"> {escape(note)}" for note in self.notes]
        return "\n\n".join([*blocks, f"```json\n{json.dumps(self.evidence())}\n```"]) + "\n"

    def evidence(self) -> dict[str, Any]:
        """Everything as JSON, including the notes; without the name of any lead."""
        return self.model_dump(mode="json") | {"notes": self.notes}

    def numbers(self) -> dict[str, Any]:
        """The counts alone, by their names in JSON: what an event may carry. No text, no ids, no names."""
        evidence = self.evidence().items()
        return {name: found for name, found in evidence if isinstance(found, int) or (found and name in BY_KIND)}

    def rows(self) -> list[tuple[str, str]]:
        """The known counts and facts, as pairs for a table."""
        numbers = [(name, f"{number:,}") for name, number in self.counts()]
        return numbers + [(name, text) for name, text in self.facts() if text is not None]

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
    approved: Approved | None = Field(default=None, exclude=True)
    waiting: int | None = Field(default=None, exclude=True)
    logged: int | None = Field(default=None, exclude=True)
    # Only for the terminal, never in JSON or a log, since it names leads.
    sample: tuple[SampleLead, ...] = Field(default=(), exclude=True, repr=False)

    def evidence(self) -> dict[str, Any]:
        """Everything but the sample as JSON: the fields of the contract and those outside it."""
        approved = self.approved.model_dump(mode="json") if self.approved else None
        return super().evidence() | {"approved": approved, "waiting": self.waiting, "logged": self.logged}

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
            ("Matched", self.matched),
            *((f"Kept by {words(rule)}", number) for rule, number in kept.items() if rule != "total"),
            ("Kept", kept.get("total")),
            ("Planned", self.planned),
            ("Waiting for later runs", self.waiting),
            ("Deleted by Close", self.processed),
            ("Deleted by its event log", self.logged),
            ("Still matching", self.remaining),
        ]
        return [(name, number) for name, number in counts if number is not None]


class Unsuccessful(Foreseen):
    """The data of a failed run's state, and what the flow raises when called without ``return_state``."""

    def __init__(self, report: RunReport) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        return f"{self.report.headline}. {self.report.message}"


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
    "The backup is in a folder on a mounted volume. That the volume outlives the run is vouched for by "
    "CLOSE_BACKUP_FOLDER_LASTS, and not known."
)


def of_plan(plan: Plan) -> dict[str, Any]:
    """The fields of a report that a plan determines."""
    return {
        **of_planned(plan),
        "s_query": plan.s_query,
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
