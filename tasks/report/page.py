"""A report, and a plan, as a page of markdown: what a person wants to know first, and what an engineer may need last.

The report has counts and ids, never the name of a lead; the plan shows its sample by name. Pure.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from tasks.plan.model import Plan
from tasks.report import picture
from tasks.report.escaping import escape, sample_of, table, words
from tasks.report.model import Report, RunReport, of_plan
from tasks.runs.outcomes import Outcome


class PastRun(NamedTuple):
    """How an earlier run of the same cleanup ended."""

    ended: datetime
    outcome: Outcome
    matched: int | None
    kept: int | None
    deleted: int | None
    run_id: str

    @property
    def cells(self) -> tuple[str, ...]:
        """What a table shows of it, below `PAST_RUNS`."""
        numbers = ("" if each is None else f"{each:,}" for each in (self.matched, self.kept, self.deleted))
        return (f"{self.ended:%Y-%m-%d %H:%M}", self.outcome.words, *numbers)


UNDONE_BY = "shows what the backup would restore; with `--no-dry-run` it restores it."
PAST_RUNS = ("Ended (UTC)", "Outcome", "Matched", "Kept", "Deleted")


def report_page(
    report: RunReport,
    earlier: Iterable[tuple[PastRun, str]] = (),
    *,
    whose: str = "",
    plan: str | None = None,
    run: str | None = None,
) -> str:
    """The page of *report*, of which cleanup *whose* says.

    *earlier* has runs with their pages; *plan* and *run* say where the UI shows these.
    """
    links = [f"[The plan]({plan}) has the query and a sample."] if plan else []
    links += [f"[The run]({run}) has the log."] if run else []
    past = ((*each.cells, f"[Run]({page})") for each, page in earlier)
    return _joined(
        *_first(report.headline, whose, report.below_headline, report),
        _chapter("Who is protected, and why", _protected(report)),
        _chapter("How to undo it", f"`{report.undo}` {UNDONE_BY}" if report.undo else ""),
        " ".join(links),
        _chapter("Earlier runs", table((*PAST_RUNS, ""), past)),
        *(f"> {escape(note)}" for note in report.notes),
        _chapter("Ids", table(("Name", "Value"), _facts(report))),
        _json(report.evidence()),
    )


def plan_page(plan: Plan, whose: str = "") -> str:
    """The page of *plan*, of which cleanup *whose* says."""
    report = Report(outcome=Outcome.DRY_RUN, message=str(plan.counts), **of_plan(plan))
    seen = f"Planned as {escape(plan.seen_by)} sees the leads, as of {plan.as_of:%Y-%m-%d %H:%M} UTC."
    return _joined(
        *_first("The plan", whose, report.message, report),
        _chapter(_shown(plan), sample_of(plan)),
        _chapter("Who is protected, and why", _protected(report)),
        *(f"> {escape(note)}" for note in plan.notes),
        _chapter("The query", f"{seen} Digest `{plan.digest}`."),
        _json(plan.s_query),
    )


def _first(headline: str, whose: str, message: str, report: RunReport) -> list[str]:
    """What every page begins with: the picture and the numbers, and what they are about."""
    numbers = ((escape(name), f"{number:,}") for name, number in report.counts())
    about = report if isinstance(report, Report) else None
    return [
        f"## {headline}",
        f"**{escape(whose)}**" if whose else "",
        escape(message),
        *(f"**{escape(each)}**" for each in report.alarms()),
        picture.image(report.bars()),
        f"Criteria: {escape(about.criteria)}" if about and about.criteria else "",
        escape(about.along or "") if about else "",
        table(("Count", "Number"), numbers),
    ]


def _protected(report: RunReport) -> str:
    """Each keep rule that is on, and how many leads it protects."""
    if not isinstance(report, Report):
        return ""
    kept = {rule: number for rule, number in (report.kept or {}).items() if rule != "total"}
    rules = {**report.protects, **{rule: words(rule) for rule in kept if rule not in report.protects}}
    rows = ((escape(text), f"{kept.get(rule, 0):,}") for rule, text in rules.items())
    return "\n\n".join(filter(None, (table(("Keep rule", "Leads"), rows), report.overlap)))


def _facts(report: RunReport) -> list[tuple[str, str]]:
    return [(escape(name), escape(text)) for name, text in report.facts() if text is not None]


def _shown(plan: Plan) -> str:
    shown, planned = len(plan.sample), plan.counts.planned
    if shown < planned:
        return f"The {f'{shown:,} ' if shown > 1 else ''}oldest of the planned leads"
    return "The planned leads"


def _chapter(title: str, text: str) -> str:
    return f"### {title}\n\n{text}" if text else ""


def _json(data: Any) -> str:
    return f"```json\n{json.dumps(data, indent=2)}\n```"


def _joined(*blocks: str) -> str:
    return "\n\n".join(filter(None, blocks)) + "\n"
