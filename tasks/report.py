"""The report of a run: one frozen value, and what it looks like to a person. Pure; publishing is in `tasks.publish`."""

import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from tasks.close.conditions import FixedUtc
from tasks.close.resources import BulkDelete, BulkStatus
from tasks.outcomes import Outcome
from tasks.plan import Approved, Counts, Plan, SampleLead
from tasks.record import Backup, Record

HEADLINES = {
    Outcome.NOTHING_TO_DO: "Nothing to do",
    Outcome.DRY_RUN: "Dry run: nothing was deleted",
    Outcome.SKIPPED: "Skipped",
    Outcome.DELETED: "Deleted",
    Outcome.RESTORED: "Restored",
    Outcome.FAILED: "Failed",
    Outcome.REFUSED: "Refused: nothing was deleted",
    Outcome.DECLINED: "Declined: nothing was deleted",
    Outcome.EXPIRED: "Expired: nothing was deleted",
    Outcome.STILL_RUNNING: "Still running",
    Outcome.UNKNOWN: "Unknown",
    Outcome.CANCELLED: "Cancelled",
}

EXAMPLES = 5
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, among them those that turn the reading direction, so that a text looks like another one."""


class Report(BaseModel):
    """What a run did. The field names are a contract: ``lead-cleanup run --json`` prints them."""

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    message: str
    organization_id: str | None = None
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
    backup: str | None = None
    flow_run_id: str | None = None
    # Not in the contract.
    approved: Approved | None = Field(default=None, exclude=True)
    waiting: int | None = Field(default=None, exclude=True)
    logged: int | None = Field(default=None, exclude=True)
    notes: tuple[str, ...] = Field(default=(), exclude=True, repr=False)
    # For whoever is at the terminal; in no JSON and no log, since leads have names.
    sample: tuple[SampleLead, ...] = Field(default=(), exclude=True, repr=False)

    @property
    def headline(self) -> str:
        """The outcome in words."""
        return HEADLINES[self.outcome]

    def markdown(self) -> str:
        """The report as markdown, and once more as JSON. Holds counts and ids, never the name of a lead."""
        blocks = [f"## {self.headline}", escape(self.message), _table(self.rows())]
        blocks += [f"> {escape(note)}" for note in self.notes]
        return "\n\n".join([*blocks, f"```json\n{json.dumps(self.evidence())}\n```"]) + "\n"

    def evidence(self) -> dict[str, Any]:
        """Everything but the sample as JSON: the contract's fields, and those that it doesn't have."""
        approved = self.approved.model_dump(mode="json") if self.approved else None
        more = {"approved": approved, "waiting": self.waiting, "logged": self.logged, "notes": self.notes}
        return self.model_dump(mode="json") | more

    def rows(self) -> list[tuple[str, str]]:
        """Everything there is to say in a table, as pairs; what isn't known is left out."""
        texts = [
            ("Cut-off", self.as_of),
            ("Organisation", self.organization_id),
            ("Bulk delete", self.bulk_delete_id),
            ("Approved", str(self.approved) if self.approved else None),
            ("Backup", self.backup),
            ("Run", self.flow_run_id),
            ("Digest of the query", self.digest),
        ]
        numbers = [(name, f"{number:,}") for name, number in self.counts()]
        return numbers + [(name, text) for name, text in texts if text is not None]

    def counts(self) -> list[tuple[str, int]]:
        """The numbers of leads, from all to those that are left."""
        kept = self.kept or {}
        rules = [(f"Kept by {words(rule)}", number) for rule, number in kept.items() if rule != "total"]
        counts = [
            ("Leads in all", self.total),
            ("Matched", self.matched),
            *rules,
            ("Kept", kept.get("total")),
            ("Planned", self.planned),
            ("Waiting for later runs", self.waiting),
            ("Deleted by Close", self.processed),
            ("Deleted by its event log", self.logged),
            ("Still matching", self.remaining),
        ]
        return [(name, number) for name, number in counts if number is not None]


class Unsuccessful(Exception):
    """What a failed run's state holds, and what the flow raises when it is called without ``return_state``."""

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        return f"{self.report.headline}. {self.report.message}"


class Log(NamedTuple):
    """What Close's event log says that a bulk delete has deleted."""

    deleted: int
    strangers: tuple[str, ...] = ()
    """Ids of leads that are not in the run's backup."""


def verdict(plan: Plan, job: BulkDelete, remaining: int, log: Log | None = None) -> tuple[Outcome, str]:
    """Whether the bulk delete *job*, which has ended, did what *plan* showed, and a sentence that says so.

    *log* is what Close's event log says of it, None where that isn't known.
    """
    if wrong := next(_wrongs(plan.counts.planned, job, remaining, log), None):
        return Outcome.FAILED, wrong
    changed = plan.counts.planned - job.processed
    spared = f" {changed} more had changed since the plan, or were gone." if changed else ""
    missing = job.processed - log.deleted if log else 0
    unlogged = f" Close's event log does not show {missing} of them yet." if missing else ""
    return Outcome.DELETED, f"{job.processed:,} leads are deleted.{spared}{unlogged}"


def _wrongs(planned: int, job: BulkDelete, remaining: int, log: Log | None) -> Iterator[str]:
    """Whatever speaks against a success, in the order of its weight."""
    processed, total = job.processed, job.total
    if job.status != BulkStatus.DONE:
        yield f"Close reports {job.status} after {processed} of {total} leads."
    if total is None:
        yield f"Close says done, but not how many leads it had to delete; it deleted {processed}."
    elif processed < total:
        yield f"Close says done, but deleted only {processed} of the {total} leads that it had counted."
    if processed > planned:
        yield f"Close deleted {processed} leads, {processed - planned} more than the {planned} planned."
    if remaining:
        yield f"Close says done with {processed} leads, but {remaining} still match."
    if log and log.strangers:
        yield f"Close's event log shows deleted leads that are in no backup: {', '.join(log.strangers[:EXAMPLES])}."
    if log and log.deleted > processed:
        yield f"Close says that it deleted {processed} leads, but its event log shows that it was {log.deleted}."


def with_backup(report: Report, backup: Backup | None, *, started: bool) -> Report:
    """*report* with where its *backup* is and until when; or with the news that a run that *started* has taken none."""
    if backup:
        until = f"The backup of {backup.leads:,} leads stays until {backup.keep_until:%Y-%m-%d}."
        return report.model_copy(update={"backup": backup.url, "message": f"{report.message} {until}"})
    return report.model_copy(update={"notes": (*report.notes, NO_BACKUP)}) if started else report


NO_BACKUP = "There is no backup of what was deleted: `backup` is off in this run."


def of_plan(plan: Plan) -> dict[str, Any]:
    """The part of a report that a plan already knows."""
    return {**of_record(plan), "s_query": plan.s_query, "notes": plan.notes, "sample": plan.sample}


def of_record(record: Record | Plan) -> dict[str, Any]:
    """The part of a report that the ledger knows."""
    return {
        "organization_id": record.organization_id,
        "as_of": FixedUtc.at(record.as_of).value,
        "digest": record.digest,
        "matched": record.counts.matched,
        "kept": record.counts.kept,
        "planned": record.counts.planned,
        "waiting": record.counts.waiting or None,
        "total": record.counts.total,
        "approved": record.approved,
    }


def kept_by(counts: Counts) -> str:
    """How many leads each rule protects, as a list in markdown; empty if none does."""
    return "\n".join(f"- kept by {words(rule)}: {number:,}" for rule, number in counts.kept.items() if rule != "total")


def words(rule: str) -> str:
    """The name of a keep rule as words."""
    return rule.replace("_", " ")


def sample_rows(plan: Plan) -> list[dict[str, str]]:
    """The sample as rows of a table, safe to show and to paste into a spreadsheet."""
    return [
        {
            "name": escape(lead.name),
            "status": escape(lead.status),
            "last communication": lead.last_communication,
            "lead": lead.id,
            "url": lead.url if lead.url.startswith(("https://", "http://127.0.0.1:")) else "",
        }
        for lead in plan.sample
    ]


def escape(text: str) -> str:
    """Customer text that does nothing in markdown, HTML or a spreadsheet, and stays on one line, read in its order."""
    line = html.escape(" ".join(CONTROLS.sub(" ", text).split()), quote=False)
    line = re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", line)
    return f"'{line}" if line[:1] in {"=", "-", "@"} or line[:2] == "\\+" else line


def unescape(line: str) -> str:
    """What `escape` has made *line* of, but for its spaces."""
    return html.unescape(re.sub(r"\\(.)", r"\1", line))


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {escape(name)} | {escape(value)} |" for name, value in rows)])
