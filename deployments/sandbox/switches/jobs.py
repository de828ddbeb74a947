"""Settings for bulk deletes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class JobSettings(BaseModel):
    """How the next bulk deletes run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    leads_per_second: float | None = Field(default=None, gt=0, description="Their speed; null for the sandbox's own.")
    fail_after: int | None = Field(default=None, ge=0, description="Stop with the status error after so many leads.")
    stall_after: int | None = Field(default=None, ge=0, description="Make no more progress after so many leads.")
    status: str | None = Field(
        default=None,
        description="If given, even as null: the status to show from processing on, whatever happens. paused really "
        "pauses, after stall_after leads if that is given; with the others the work goes on.",
    )
    created_seconds: float = Field(default=0.1, ge=0, description="How long they stay created.")
    loading_seconds: float = Field(default=0.1, ge=0, description="How long they stay loading.")
