"""The record of a claim, as one frozen value. Pure; `tasks.ledger.store` reads and writes it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.plan.model import Planned
from tasks.runs.wording import MINUTE

VERSION = 2
"""The version of a record. Version 1, written by 0.1, is still read; a newer one is refused."""
PREFIX = "lead_cleanup_run_"
REFUSED = "refused"
GIVEN_UP = "given up"


class Act(BaseModel):
    """What a person did: who, by their own account, and when."""

    model_config = ConfigDict(frozen=True)

    by: str
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class BackupTaken(BaseModel):
    """The backup that a run has taken."""

    model_config = ConfigDict(frozen=True)

    url: str
    leads: int
    keep_until: datetime
    vouched: bool = False
    """Whether only CLOSE_BACKUP_FOLDER_LASTS says that the folder outlives the run."""


class Record(Planned):
    """A run's claim, and the bulk delete that it started. The query itself is in the run's plan artifact."""

    version: int = VERSION
    run_id: UUID
    cleanup: str
    nonce: str = Field(default_factory=lambda: uuid4().hex)
    """Random: tells the claim of this copy of the run from another copy's."""
    claimed_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    bulk_delete_id: str | None = None
    backup: BackupTaken | None = None
    """Taken before the claim; None if the run takes none."""
    claim: int = 1
    """The number of this claim of the run. There is a second only after the first was refused or given up."""
    ended: str | None = None
    """Why this claim is closed: `REFUSED`, `GIVEN_UP`, or the final status of its bulk delete."""
    given_up: Act | None = None
    """Who closed this claim without knowing what became of it."""
    cancelled_at: datetime | None = None
    """Since when the run is cancelled. Only a person resumes it."""
    permission: Act | None = None
    """A person's permission to start again after a claim that was given up. The next claim uses it up."""
    restarted_by: Act | None = None
    """The permission that this claim has used up. If the claim is refused, it can be used again."""

    @model_validator(mode="before")
    @classmethod
    def _as_0_1_named_it(cls, data: Any) -> Any:
        """Records of runs that were open when 0.1 was upgraded."""
        names = {"criteria": "criteria_digest", "by_leave": "restarted_by"}
        if not isinstance(data, Mapping):
            return data
        return {names.get(name, name): value for name, value in cast("Mapping[str, Any]", data).items()}

    @property
    def refused(self) -> bool:
        """Whether this claim certainly started nothing."""
        return self.ended == REFUSED

    @property
    def age_seconds(self) -> float:
        """How long ago the run claimed, by a clock that counts while the machine sleeps."""
        return (datetime.now(UTC) - self.claimed_at).total_seconds()

    @property
    def may_plan_again(self) -> bool:
        """Whether the run may plan as if it had never claimed anything."""
        return self.refused and self.restarted_by is None

    @property
    def unused_permission(self) -> Act | None:
        """A person's permission, not used up yet, to start the same plan once more."""
        if self.bulk_delete_id:
            return None
        return self.permission or (self.restarted_by if self.refused else None)

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


def name_of(run_id: UUID, claim: int) -> str:
    """The name of the Variable that holds a run's claim of this number."""
    return f"{PREFIX}{run_id}" + (f"_{claim}" if claim > 1 else "")
