"""What a run would delete, as one frozen value. Pure; asks nobody."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tasks.close.query.rewrite import canonical

VERSION = 1
"""Of a plan as it is stored. One that a newer version has written is refused."""


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
        return f"{self.leads:,} leads, approved by {self.by} (name not verified), {self.at:%Y-%m-%d %H:%M} UTC{said}"


class Planned(BaseModel):
    """What was planned, but for the query: the same in the `Plan` and in the ledger's record of who claimed it."""

    model_config = ConfigDict(frozen=True)

    organization_id: str
    organization: str
    user_id: str
    """Whose key planned and claims: a bulk delete of another author is never taken for ours."""
    as_of: datetime
    """The cut-off (UTC), which marks the run's bulk delete."""
    digest: str
    """The sha256 of the organisation and the query in canonical form, in hexadecimal."""
    criteria_digest: str = ""
    """The same for every run with these criteria; see `tasks.plan.ramp`."""
    counts: Counts
    approved: Approved | None = None
    """A person's approval, where one was asked."""

    def as_planned(self) -> dict[str, Any]:
        """These fields alone, to make the other of `Plan` and record with them."""
        return {name: getattr(self, name) for name in Planned.model_fields}


class Plan(Planned):
    """What a run would delete."""

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    s_query: dict[str, Any]
    criteria: str = ""
    """The criteria and keep rules, for people."""
    seen_by: str = ""
    """The user and the role under which the plan was made: a key sees only what its user sees."""
    may_delete: bool = True
    """False where it is certain that the key's user may not bulk delete."""
    ramped: bool = False
    """Whether it was the ramp that cut it."""
    sample: tuple[SampleLead, ...] = Field(default=(), exclude=True)
    """For people, and the only part that names leads: never stored with the rest."""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, s_query: dict[str, Any], organization_id: str, **facts: Any) -> "Plan":
        """The plan to delete what *s_query* selects in this organisation."""
        facts |= {"organization_id": organization_id, "digest": digest(organization_id, s_query)}
        return cls(s_query=s_query, **facts)


def digest(organization_id: str, s_query: Mapping[str, Any]) -> str:
    """See `Planned.digest`."""
    return hashlib.sha256(f"{organization_id}\n{canonical(s_query)}".encode()).hexdigest()
