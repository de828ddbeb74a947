"""What a run would delete, as one frozen value. Pure."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from tasks.close.query.conditions import text_of
from tasks.close.query.rewrite import canonical
from tasks.runs.wording import counted, shortened

VERSION = 1
"""The version of stored plans. Those of newer versions are refused."""


class SampleLead(BaseModel):
    """A planned lead, as shown to whoever approves the plan."""

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
    def share(self) -> str:
        """How many of all leads are planned, in words."""
        return f"{self.planned:,} of {counted(self.total, 'lead')}"

    def __str__(self) -> str:
        matched = counted(self.matched, "lead matches", "leads match")
        return f"{self.share} would be deleted. {matched}; {self.spared}."

    @property
    def spared(self) -> str:
        """How many of those that match are not planned, and why, in words."""
        kept = f"{counted(self.kept['total'], 'is', 'are')} kept"
        return f"{kept}, {counted(self.waiting, 'waits', 'wait')} for later runs" if self.waiting else kept

    @property
    def add_up(self) -> bool:
        """Whether every matched lead is kept, planned or waiting.

        If not, leads changed while they were counted, or Close reads the query differently than we do.
        """
        return self.matched == self.kept["total"] + self.planned + self.waiting

    def cut_to(self, batch: int) -> "Counts":
        """The same leads, of which only *batch* are planned now."""
        return self.model_copy(update={"planned": batch, "waiting": self.planned - batch})

    def without_ramp(self, batch: int | None) -> "Counts":
        """The same leads, as they would be planned if only *batch* cut them."""
        whole = self.planned + self.waiting
        return self.model_copy(update={"planned": min(whole, batch or whole), "waiting": 0})


class OverLimit(BaseModel):
    """A limit that a plan exceeds: what it allows and what the plan has, both in leads or as a share (0 to 1)."""

    model_config = ConfigDict(frozen=True)

    setting: str
    allowed: float
    found: float

    def __str__(self) -> str:
        found, allowed = (
            f"{100 * each:.4g}%" if self.setting == "limits.max_share" else f"{each:,.0f}"
            for each in (self.found, self.allowed)
        )
        return f"{self.setting}: {found}, where {allowed} is allowed"


class Cascade(BaseModel):
    """What Close deletes with the planned leads, in words, and which kinds couldn't be counted."""

    model_config = ConfigDict(frozen=True)

    known: tuple[str, ...] = ()
    not_counted: tuple[str, ...] = ()

    def sentence(self, *, gone: bool = False) -> str:
        """What goes with the leads; or went, if they are *gone*."""
        if self.known:
            when = ", as counted when they were planned" if gone else ""
            first = f"With these leads {'went' if gone else 'go'} {', '.join(self.known)}{when}."
        else:
            first = f"With these leads {'went' if gone else 'goes'} nothing that was counted."
        return f"{first} Not counted: {', '.join(self.not_counted)}." if self.not_counted else first


class Approved(BaseModel):
    """What a person approved: how many leads, under which name (not verified), and when (UTC)."""

    model_config = ConfigDict(frozen=True)

    leads: int
    by: str
    at: datetime
    note: str = ""

    def __str__(self) -> str:
        note = f": {self.note}" if self.note else ""
        leads = counted(self.leads, "lead")
        return f"{leads}, approved by {self.by} (name not verified), {self.at:%Y-%m-%d %H:%M} UTC{note}"

    def shortened(self) -> Self:
        """The same, with no more words than fit into the ledger's record."""
        return self.model_copy(update={"by": shortened(self.by, 400), "note": shortened(self.note, 1000)})


class Planned(BaseModel):
    """What `Plan` and the ledger's record of its claim have in common: everything about the plan but the query."""

    model_config = ConfigDict(frozen=True)

    organization_id: str
    organization: str
    user_id: str
    """The user whose key plans and claims: a bulk delete of another user is never taken for this run's."""
    as_of: datetime
    """The cut-off (UTC), in the clause on ``date_created``: the first mark of the run's bulk delete."""
    updated_before: datetime | None = None
    """The instant in the clause on ``date_updated``: the second mark. None if 0.1 claimed it, with one mark in both."""
    digest: str
    """The sha256 of the organisation and the query in canonical form, in hexadecimal."""
    criteria_digest: str = ""
    """The same for every run with these criteria; see `tasks.plan.ramp`."""
    counts: Counts
    approved: Approved | None = None
    """A person's approval, where one was needed."""

    @property
    def marks(self) -> tuple[datetime, ...]:
        """The instants in its query by which a bulk delete is known as the run's."""
        return (self.as_of, self.updated_before) if self.updated_before else (self.as_of,)

    def has_query(self, s_query: Mapping[str, Any]) -> bool:
        """Whether *s_query*, in any spelling, is the query that was planned, by our digest or by that of 0.1."""
        return self.digest in {each(self.organization_id, s_query) for each in (digest, digest_as_spelled)}

    def as_planned(self) -> dict[str, Any]:
        """These fields alone, to build a record from a plan or a plan from a record."""
        return {name: getattr(self, name) for name in Planned.model_fields}


class Plan(Planned):
    """What a run would delete."""

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    s_query: dict[str, Any]
    criteria: str = ""
    """The criteria and keep rules, for people."""
    protects: dict[str, str] = Field(default_factory=dict[str, str])
    """What each keep rule that is on protects, for people, by its name."""
    cascade: Cascade | None = None
    seen_by: str = ""
    """The user and role that planned: a key sees only what its user sees."""
    may_delete: bool = True
    """False where it is certain that the key's user may not bulk delete."""
    ramped: bool = False
    """Whether the ramp has cut it."""
    over_limit: tuple[OverLimit, ...] = ()
    """The limits that it exceeds, so that it may not be carried out."""
    sample: tuple[SampleLead, ...] = Field(default=(), exclude=True)
    """The only part that names leads; never stored with the rest."""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, s_query: dict[str, Any], organization_id: str, **facts: Any) -> "Plan":
        """The plan to delete what *s_query* selects in this organisation."""
        facts |= {"organization_id": organization_id, "digest": digest(organization_id, s_query)}
        return cls(s_query=s_query, **facts)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What goes with the leads, and the notes."""
        return (*([self.cascade.sentence()] if self.cascade else []), *self.notes)

    @property
    def digest_by_0_1(self) -> str:
        """The digest that 0.1 had for such a plan, with one mark in both clauses, for requests that 0.1 made."""
        first, *second = (text_of(mark) for mark in self.marks)
        query = json.dumps(self.s_query)
        for mark in second:
            query = query.replace(mark, first)
        return digest_as_spelled(self.organization_id, json.loads(query))


def digest(organization_id: str, s_query: Mapping[str, Any]) -> str:
    """See `Planned.digest`."""
    return _digest(organization_id, canonical(s_query))


def digest_as_spelled(organization_id: str, s_query: Mapping[str, Any]) -> str:
    """The digest as 0.1 computed it, to which an instant in another spelling is another instant."""
    return _digest(organization_id, canonical(s_query, as_spelled=True))


def _digest(organization_id: str, canonical_text: str) -> str:
    return hashlib.sha256(f"{organization_id}\n{canonical_text}".encode()).hexdigest()
