"""What a run would delete: the query, the numbers, and the checks that stop it. Pure; asks nobody."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from tasks.close.rewrite import asserted, canonical, denied
from tasks.close.s_query import And, ObjectType, Query, any_of, before
from tasks.criteria import CREATED, UPDATED, keep_rules, match_clauses
from tasks.names import Names
from tasks.outcomes import Outcome, Refused, Stop
from tasks.policy import Keep, Limits, Match, most_without_approval

SMALL_PLAN = 20  # leads; a share says nothing about a plan this small
LEADS = ObjectType(object_type="lead")
TOLD_LATE = timedelta(seconds=2)
"""How far behind its own clock a server may tell the time: to the second, and often renewed once a second only."""


@dataclass(frozen=True)
class Selection:
    """Criteria as queries: what must hold, what protects, and the instant (UTC) from which both are reckoned."""

    match: tuple[Query, ...]
    keep: Mapping[str, Query]
    as_of: datetime

    def matched(self) -> Query:
        """Leads that meet the criteria, protected or not."""
        return self._query()

    def kept(self, rule: str | None = None) -> Query:
        """Matched leads that *rule* protects; without a rule, those that any of them protects."""
        rules = [self.keep[rule]] if rule else list(self.keep.values())
        return self._query(any_of([asserted(each) for each in rules]))

    def planned(self, *, created_before: datetime | None = None) -> Query:
        """Matched leads that nothing protects: what is sent to Close. *created_before* (UTC) leaves a batch of it."""
        batch = [before(CREATED, created_before)] if created_before else []
        return self._query(*(denied(each) for each in self.keep.values()), *batch)

    def _query(self, *more: Query) -> Query:
        """The last two clauses spare what came or changed after the cut-off, and carry the run's mark."""
        return And(queries=(LEADS, *self.match, *more, before(CREATED, self.as_of), before(UPDATED, self.as_of)))


def select(match: Match, keep: Keep, names: Names, as_of: datetime, time_zone: str = "UTC") -> Selection:
    """The criteria of *match* and *keep* as queries, reckoned from *as_of* (UTC); days begin in *time_zone*.

    Raises `Refused` for names that Close doesn't know and for queries that can't be used.
    """
    zone = ZoneInfo(time_zone)
    return Selection(
        match=tuple(match_clauses(match, names, as_of, zone)), keep=keep_rules(keep, names, as_of, zone), as_of=as_of
    )


class SampleLead(BaseModel):
    """A planned lead, as a person wants to see it before saying yes."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str = ""
    status: str = ""
    last_communication: str = "never"
    url: str = ""


class Counts(BaseModel):
    """How many leads there are, match, are protected (and by what), and would be deleted."""

    model_config = ConfigDict(frozen=True)

    total: int
    matched: int
    kept: dict[str, int]
    """Rules that protect at least one matched lead, and ``total``. A lead that two rules protect counts for both."""
    planned: int
    waiting: int = 0
    """Leads that a batch, or the ramp, leaves for later runs."""

    @property
    def add_up(self) -> bool:
        """Whether every matched lead is kept, planned or waiting.

        If not, leads changed while they were counted, or Close reads the query in another way than we do.
        """
        return self.matched == self.kept["total"] + self.planned + self.waiting

    def cut_to(self, batch: int) -> "Counts":
        """The same leads, of which only *batch* are planned now."""
        return self.model_copy(update={"planned": batch, "waiting": self.planned - batch})

    def without_ramp(self, batch: int | None) -> "Counts":
        """The same leads, as they would be planned if only *batch* cut them."""
        whole = self.planned + self.waiting
        return self.model_copy(update={"planned": min(whole, batch or whole), "waiting": 0})


class Approved(BaseModel):
    """What a person has approved: how many leads, who says so, and when (UTC). Nobody checks the name."""

    model_config = ConfigDict(frozen=True)

    leads: int
    by: str
    at: datetime
    note: str = ""

    def __str__(self) -> str:
        said = f": {self.note}" if self.note else ""
        return f"{self.leads:,} leads, by {self.by}, who says so, at {self.at:%Y-%m-%d %H:%M} UTC{said}"


class Plan(BaseModel):
    """What a run would delete."""

    model_config = ConfigDict(frozen=True)

    organization_id: str
    organization: str
    seen_by: str = ""
    """The user and the role under which the plan was made: a key sees only what its user sees."""
    may_delete: bool = True
    """False where it is certain that the key's user may not bulk delete."""
    user_id: str
    as_of: datetime
    s_query: dict[str, Any]
    counts: Counts
    criteria: str = ""
    """A digest of the criteria, the same for every run that has them; see `tasks.ramp`."""
    asked: str = ""
    """The criteria and keep rules, for people."""
    ramped: bool = False
    """Whether it was the ramp that cut it."""
    sample: tuple[SampleLead, ...] = ()
    notes: tuple[str, ...] = ()
    approved: Approved | None = None
    """A person's approval, where one was asked."""

    @property
    def digest(self) -> str:
        """The sha256 of the organisation and the query in canonical form, in hexadecimal."""
        return digest(self.organization_id, self.s_query)


def digest(organization_id: str, s_query: Mapping[str, Any]) -> str:
    """See `Plan.digest`."""
    return hashlib.sha256(f"{organization_id}\n{canonical(s_query)}".encode()).hexdigest()


def check_clocks(as_of: datetime, theirs: datetime | None) -> None:
    """Raise `Refused` if the cut-off lies ahead of Close's clock: until then an edited lead would not be spared."""
    if theirs and as_of > theirs + TOLD_LATE:
        ahead = (as_of - theirs).total_seconds()
        raise Refused(
            f"The cut-off of this run lies {ahead:,.0f} seconds ahead of Close's clock: leads edited until then would "
            "not be spared. Set the clocks of the Prefect server and its workers right, and start a new run."
        )


def decide(plan: Plan, limits: Limits, *, expect: int | None, dry_run: bool) -> None:
    """Raise `Stop` unless there is something to delete, and it may be deleted.

    Refuses over a limit before it says that this was a dry run: a dry run shows what the real one would do.
    """
    counts = plan.counts
    if expect is not None and counts.planned != expect:
        raise Refused(f"{counts.planned} leads are planned, but {expect} were expected.")
    if not counts.add_up:
        raise Refused(
            f"The numbers don't add up: {counts.matched} matched, but {counts.kept['total']} kept and {counts.planned} "
            "left. Either leads are changing very fast, or Close reads the query in another way than we do. Try again; "
            "if it stays so, turn off the keep rules one by one to find the one that is misread."
        )
    if not counts.planned:
        raise Stop(Outcome.NOTHING_TO_DO, _nothing(counts))
    if plan.ramped:
        check_limits(counts.without_ramp(limits.batch), limits, said="would be planned without the ramp")
    else:
        check_limits(counts, limits)
    if dry_run:
        raise Stop(Outcome.DRY_RUN, f"{counts.planned:,} of {counts.total:,} leads would be deleted.")
    if not plan.may_delete:
        raise Refused(f"{plan.seen_by} may not bulk delete: use the key of a user who may, such as an admin.")


def _nothing(counts: Counts) -> str:
    kept = f"{counts.matched} match, and all of them are kept" if counts.matched else "none matches"
    return f"No lead is to be deleted: {kept}."


def check_limits(counts: Counts, limits: Limits, *, said: str = "are planned") -> None:
    """Raise `Refused`, with the numbers and the setting, if *counts* go over *limits*."""
    planned, total = counts.planned, counts.total
    if planned >= total:
        raise Refused(f"All {total} leads of the organisation {said}. That is never done; narrow the criteria.")
    if planned > limits.max_leads:
        raise Refused(
            f"{planned:,} leads {said}, more than limits.max_leads allows ({limits.max_leads:,}). "
            "Raise it, or set limits.batch to delete the oldest first."
        )
    if planned > SMALL_PLAN and planned / total > limits.max_share:  # not share x total: 0.29 x 100 is less than 29
        raise Refused(
            f"{planned:,} of {total:,} leads {said} ({planned / total:.1%}), more than limits.max_share allows "
            f"({limits.max_share:.1%}). Raise it, or set limits.batch to delete the oldest first."
        )


def rules_dropped(deployed: Keep | None, keep: Keep) -> list[str]:
    """Notes on keep rules that the deployment has and this run lacks or weakens.

    Prefect replaces parameters whole, so that overriding one rule of ``keep`` in a run silently drops the others.
    """
    return [
        f"keep.{name} of the deployment ({value}) does not hold in this run."
        for name, value in (deployed.model_dump(exclude_none=True) if deployed else {}).items()
        if value and _weaker(getattr(keep, name), value)
    ]


def limits_loosened(deployed: Limits, limits: Limits) -> list[str]:
    """Notes on limits of the deployment that this run doesn't have, or has wider: they too are replaced whole."""
    wider = [name for name in ("max_leads", "max_share") if getattr(limits, name) > getattr(deployed, name)]
    if deployed.batch and (limits.batch is None or limits.batch > deployed.batch):
        wider.append("batch")
    if deployed.ramp and not limits.ramp:
        wider.append("ramp")
    return [f"limits.{name} of the deployment ({getattr(deployed, name)}) does not hold in this run." for name in wider]


def approval_loosened(deployed: str, approval: str) -> list[str]:
    """A note if the deployment would have a person asked, and this run wouldn't."""
    if most_without_approval(approval) <= most_without_approval(deployed):
        return []
    return [f"approval of the deployment ({deployed}) does not hold in this run."]


def _weaker(ours: object, theirs: object) -> bool:
    match ours, theirs:
        case bool(), bool():
            return not ours and theirs
        case int(), int():
            return ours < theirs
        case list(), list():
            wanted, held = cast("list[object]", theirs), cast("list[object]", ours)
            return any(each not in held for each in wanted)
        case dict(), dict() if all(isinstance(each, list) for each in cast("dict[str, object]", theirs).values()):
            rules, ruled = cast("dict[str, object]", theirs), cast("dict[str, object]", ours)
            return any(_weaker(ruled.get(name), values) for name, values in rules.items())
        case _:
            return ours != theirs
