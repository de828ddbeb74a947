"""Which run claimed and started which bulk delete: one record a run, in a Prefect Variable.

The record is created before the POST and never deleted by a run. Creating a Variable has one winner, so of several
copies of a run only one may start anything. The record needs no disk that workers share, and people find it in the
Prefect UI under Variables, as ``lead_cleanup_run_…``.
"""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID, uuid4

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.exceptions import ObjectAlreadyExists
from pydantic import BaseModel, ConfigDict, Field

from tasks.plan import Counts, Plan
from tasks.run import Run

VERSION = 1
TAG = "lead-cleanup"


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
    counts: Counts
    nonce: str = Field(default_factory=lambda: uuid4().hex)
    """What this copy of the run wrote, to tell its own claim from another copy's."""
    claimed_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    bulk_delete_id: str | None = None

    @classmethod
    def of(cls, run: Run, plan: Plan) -> Self:
        """A claim for *run* to start what *plan* says."""
        return cls(
            run_id=run.id,
            cleanup=run.cleanup,
            organization_id=plan.organization_id,
            organization=plan.organization,
            user_id=plan.user_id,
            as_of=plan.as_of,
            digest=plan.digest,
            counts=plan.counts,
        )

    def plan(self, s_query: dict[str, Any]) -> Plan:
        """The plan that was claimed, without its sample; *s_query* is what stood in its artifact."""
        return Plan(
            organization_id=self.organization_id,
            organization=self.organization,
            user_id=self.user_id,
            as_of=self.as_of,
            s_query=s_query,
            counts=self.counts,
        )


def read(run_id: UUID) -> Record | None:
    """The record of the run, or None if it has claimed nothing. Raises when the Prefect API can't be read."""
    with _prefect() as prefect:
        variable = prefect.read_variable_by_name(_name(run_id))
    return Record.model_validate(variable.value) if variable else None


def claim(record: Record) -> Record:
    """Write *record* unless the run has one, and give what then stands there.

    It is ours if its nonce is ours, also after "already exists": Prefect's client repeats a request whose answer was
    lost, and then meets its own record.
    """
    with _prefect() as prefect, suppress(ObjectAlreadyExists):
        prefect.create_variable(VariableCreate(name=_name(record.run_id), value=_value(record), tags=_tags(record)))
    standing = read(record.run_id)
    if standing is None:
        raise RuntimeError(f"The record {_name(record.run_id)} was written and can't be read back.")
    return standing


def update(record: Record) -> None:
    """Write *record* over the one that stands. Raises when the Prefect API can't be written."""
    with _prefect() as prefect:
        prefect.update_variable(VariableUpdate(name=_name(record.run_id), value=_value(record), tags=_tags(record)))
        if record.bulk_delete_id:
            prefect.update_flow_run_labels(record.run_id, {"close.bulk_delete_id": record.bulk_delete_id})


def _prefect() -> SyncPrefectClient:
    return get_client(sync_client=True)


def _name(run_id: UUID) -> str:
    return f"lead_cleanup_run_{run_id}"


def _value(record: Record) -> dict[str, Any]:
    return record.model_dump(mode="json")


def _tags(record: Record) -> list[str]:
    return [TAG, record.cleanup]
