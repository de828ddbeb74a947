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
UNRESOLVED = "unresolved"
REFUSED = "refused"


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
    claim: int = 1
    """Which claim of the run this is. There is a second one only after the first was refused."""
    ended: str | None = None
    """How the claim came to its end: see `end`."""

    @property
    def refused(self) -> bool:
        """Whether it is certain that nothing was started."""
        return self.ended == REFUSED

    @property
    def name(self) -> str:
        """The name of the Variable."""
        return _name(self.run_id, self.claim)

    @classmethod
    def of(cls, run: Run, plan: Plan, claim_number: int = 1) -> Self:
        """A claim for *run* to start what *plan* says."""
        return cls(
            claim=claim_number,
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
    """The run's latest record, or None if it has claimed nothing. Raises when the Prefect API can't be read."""
    found: Record | None = None
    with _prefect() as prefect:
        while variable := prefect.read_variable_by_name(_name(run_id, found.claim + 1 if found else 1)):
            found = Record.model_validate(variable.value)
    return found


def next_claim(run: Run, plan: Plan) -> Record:
    """What *run* would claim now. Its first claim, unless Close has refused that: then there is room for another."""
    standing = read(run.id)
    claim_number = 1 if standing is None else standing.claim + standing.refused
    return Record.of(run, plan, claim_number)


def claim(record: Record) -> Record:
    """Write *record* unless the run has one, and give what then stands there.

    It is ours if its nonce is ours, also after "already exists": Prefect's client repeats a request whose answer was
    lost, and then meets its own record.
    """
    with _prefect() as prefect:
        with suppress(ObjectAlreadyExists):
            prefect.create_variable(VariableCreate(name=record.name, value=_value(record), tags=_tags(record)))
        variable = prefect.read_variable_by_name(record.name)
    if variable is None:
        raise RuntimeError(f"The record {record.name} was written and can't be read back.")
    return Record.model_validate(variable.value)


def update(record: Record) -> None:
    """Write *record* over the one that stands. Raises when the Prefect API can't be written."""
    with _prefect() as prefect:
        prefect.update_variable(VariableUpdate(name=record.name, value=_value(record), tags=_tags(record)))
        if record.bulk_delete_id:
            prefect.update_flow_run_labels(record.run_id, {"close.bulk_delete_id": record.bulk_delete_id})


def end(run_id: UUID, how: str) -> None:
    """Note that nothing more comes of the run's claim: it was ``refused``, or the bulk delete has this final status."""
    if record := read(run_id):
        update(record.model_copy(update={"ended": how}))


def unresolved(organization_id: str) -> list[Record]:
    """The claims in the organisation of which it isn't known that they have come to an end."""
    tags = [TAG, organization_id, UNRESOLVED]
    with _prefect() as prefect:
        answer = prefect.request("POST", "/variables/filter", json={"variables": {"tags": {"all_": tags}}})
        answer.raise_for_status()
    return [Record.model_validate(each["value"]) for each in answer.json()]


def _prefect() -> SyncPrefectClient:
    return get_client(sync_client=True)


def _name(run_id: UUID, claim_number: int) -> str:
    return f"lead_cleanup_run_{run_id}" + (f"_{claim_number}" if claim_number > 1 else "")


def _value(record: Record) -> dict[str, Any]:
    return record.model_dump(mode="json")


def _tags(record: Record) -> list[str]:
    return [TAG, record.organization_id, record.cleanup, *([] if record.ended else [UNRESOLVED])]
