"""What the ledger holds: the record of a claim, as one frozen value. Pure; `tasks.ledger.store` keeps it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field

from tasks.plan.model import Approved, Counts, Plan

VERSION = 1
PREFIX = "lead_cleanup_run_"
REFUSED = "refused"
GIVEN_UP = "given up"
MINUTE = "%Y-%m-%d %H:%M UTC"


class Act(BaseModel):
    """What a person did, who says so, and when."""

    model_config = ConfigDict(frozen=True)

    by: str
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Backup(BaseModel):
    """The copy of the planned leads that a run has taken, as it reports it."""

    model_config = ConfigDict(frozen=True)

    url: str
    leads: int
    keep_until: datetime


class Record(BaseModel):
    """What a run has claimed, and the bulk delete it came to. The query itself stands in the run's plan artifact."""

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    run_id: UUID
    cleanup: str
    organization_id: str
    organization: str
    user_id: str
    """Whose key claimed: a bulk delete of another author is never taken for ours."""
    as_of: datetime
    digest: str
    criteria: str = ""
    counts: Counts
    approved: Approved | None = None
    nonce: str = Field(default_factory=lambda: uuid4().hex)
    """What this copy of the run wrote, to tell its own claim from another copy's."""
    claimed_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    bulk_delete_id: str | None = None
    backup: Backup | None = None
    """The copy of the leads that was taken before the claim; None if the run was told to take none."""
    claim: int = 1
    """Which claim of the run this is. There is a second one only if the first may not be used any more."""
    ended: str | None = None
    """Why nothing more comes of this claim: it was refused or given up, or the bulk delete has come to this status."""
    given_up: Act | None = None
    """Who said that nothing more comes of this claim, whatever became of it."""
    cancelled_at: datetime | None = None
    """Since when the run is cancelled. Only a person lets it go on."""
    permission: Act | None = None
    """A person's leave to start again after a claim that was given up. The next claim uses it up."""
    by_leave: Act | None = None
    """The permission by which this claim was made: it stands, if this claim is refused."""

    @property
    def refused(self) -> bool:
        """Whether it is certain that this claim has started nothing."""
        return self.ended == REFUSED

    @property
    def plans_anew(self) -> bool:
        """Whether the run is as free as if it had never claimed anything."""
        return self.refused and self.by_leave is None

    @property
    def leave(self) -> Act | None:
        """A person's leave, not used up yet, to start once more what was planned then."""
        if self.bulk_delete_id:
            return None
        return self.permission or (self.by_leave if self.refused else None)

    @property
    def name(self) -> str:
        """The name of the Variable."""
        return name_of(self.run_id, self.claim)

    @property
    def line(self) -> str:
        """The claim in one line, for a list."""
        what = self.bulk_delete_id or "not known to have started anything"
        ended = f", {self.ended}" if self.ended else ", cancelled" if self.cancelled_at else ""
        return f"{self.run_id} ({self.cleanup}, {self.organization}): {what}{ended}, claimed {self.claimed_at:{MINUTE}}"

    def plan(self, s_query: dict[str, Any]) -> Plan:
        """The plan that was claimed, without its sample; *s_query* is what stood in its artifact."""
        return Plan(
            organization_id=self.organization_id,
            organization=self.organization,
            user_id=self.user_id,
            as_of=self.as_of,
            s_query=s_query,
            criteria=self.criteria,
            counts=self.counts,
            approved=self.approved,
        )


def name_of(run_id: UUID, claim: int) -> str:
    """The name of the Variable that holds a run's claim of this number."""
    return f"{PREFIX}{run_id}" + (f"_{claim}" if claim > 1 else "")
