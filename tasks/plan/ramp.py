"""The ramp: a cleanup that is new to an organisation starts small, even where its limits allow more.

A Prefect Variable ``lead_cleanup_ramp_…`` for each cleanup and organisation lists the runs that have deleted; it
outlives the ledger's records. When the criteria change, or a Smart View that they name, the cleanup is new again.
Deleting the Variable restarts the ramp.
"""

import hashlib
import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.exceptions import ObjectAlreadyExists
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.close.query.nodes import to_json
from tasks.criteria.names import Names
from tasks.criteria.selection import Criteria
from tasks.plan.model import digest_as_spelled
from tasks.runs.connect import prefect
from tasks.runs.run import Run

FIRST_RUNS = (50, 500)
"""How many leads the first and the second deleting run may plan. After these, the limits alone apply."""


class Ramp(BaseModel):
    """How far a cleanup has come with its criteria."""

    model_config = ConfigDict(frozen=True)

    criteria: str
    runs: tuple[UUID, ...] = ()
    """Those that have deleted with these criteria; no more than `FIRST_RUNS` has."""

    @property
    def most(self) -> int | None:
        """How many leads the next run may plan; None after the ramp."""
        return FIRST_RUNS[len(self.runs)] if len(self.runs) < len(FIRST_RUNS) else None

    def passed(self, run_id: UUID) -> "Ramp":
        """The ramp after this run has deleted. Safe to call repeatedly: a run counts once."""
        done = self.most is None or run_id in self.runs
        return self if done else self.model_copy(update={"runs": (*self.runs, run_id)})


def criteria_digest(criteria: Criteria, names: Names, organization_id: str) -> str:
    """A digest of what is deleted and what is kept, in ids: the same for every cut-off and all limits."""
    any_day = replace(criteria, as_of=datetime(2000, 1, 1, tzinfo=UTC), updated_before=None)
    return digest_as_spelled(organization_id, to_json(any_day.select(names).planned()))


def read(run: Run, organization_id: str, criteria: str) -> Ramp:
    """How far the cleanup of *run* has come with *criteria* in this organisation. Raises `PrefectUnavailable`."""
    name = name_of(organization_id, run.cleanup)
    before, dash, _ = name.partition("-")
    with prefect() as server:
        found = server.read_variable_by_name(name)
        if dash and not found:
            found = server.read_variable_by_name(before)
    with suppress(ValidationError):  # a value edited by hand restarts the ramp
        if found and (ramp := Ramp.model_validate(found.value)).criteria == criteria:
            return ramp
    return Ramp(criteria=criteria)


def advance(run: Run, organization_id: str, criteria: str) -> None:
    """Store that *run* has deleted with *criteria*. Raises `PrefectUnavailable`."""
    before = read(run, organization_id, criteria)
    if (ramp := before.passed(run.id)) == before:
        return
    name, value = name_of(organization_id, run.cleanup), ramp.model_dump(mode="json")
    with prefect() as server:
        try:
            server.create_variable(VariableCreate(name=name, value=value, tags=["lead-cleanup-ramp"]))
        except ObjectAlreadyExists:
            server.update_variable(VariableUpdate(name=name, value=value))


def name_of(organization_id: str, cleanup: str) -> str:
    """The name of the Variable. What comes before a dash in it is how 0.1 called it.

    The name of a Variable has small Latin letters and digits only. Where a cleanup's name has others, a digest tells it
    from names that differ in those alone.
    """
    slugs = [re.sub(r"[^a-z0-9]+", "_", each.lower()).strip("_") for each in (organization_id, cleanup)]
    name = "_".join(["lead_cleanup_ramp", *slugs])
    if slugs[-1].replace("_", "-") == cleanup:
        return name
    return f"{name}-{hashlib.sha256(cleanup.encode()).hexdigest()[:8]}"
