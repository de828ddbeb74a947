"""The plan on the Prefect server: a page for people, and the plan itself as JSON, for a retry of the run.

The page, with a sample of the leads, has the cleanup's key. The JSON has no key and no names of leads: an attempt that
finds a claim reads it, and doesn't build the query a second time.
"""

import json
import re
from uuid import UUID

from prefect.client.schemas.objects import Artifact
from pydantic import ValidationError

from tasks.ledger.record import Record
from tasks.plan.model import VERSION, Plan
from tasks.report.artifacts import artifact_key, artifacts_of, publish
from tasks.report.escaping import unescape
from tasks.report.history import BLOCK
from tasks.report.page import plan_page
from tasks.runs import events
from tasks.runs.outcomes import Outcome, Stop
from tasks.runs.retries import once, reads
from tasks.runs.run import Run
from tasks.runs.versions import from_newer_version

KIND = "lead-cleanup-plan"
"""The type of the artifact with the JSON."""
NOTE_0_1 = re.compile(r"^> (.+)$", re.MULTILINE)
"""A note on a plan in the table that 0.1 published, which had no JSON."""


@once
def publish_plan(run: Run, plan: Plan) -> UUID:
    """Show what would be deleted, before anything is; return the id of the page. Raises `PrefectUnavailable`."""
    publish(run.id, KIND, plan.model_dump(mode="json"), description="The plan, for a retry of this run.")
    key = f"{artifact_key(run, plan.organization_id, plan.organization)}-plan"
    page = publish(
        run.id,
        "markdown",
        plan_page(plan, f"{run.cleanup} in {plan.organization}"),
        key=key,
        description=str(plan.counts),
    )
    events.emit(run, "planned", plan.counts.model_dump())
    return page


@reads
def load_plan(record: Record) -> Plan:
    """The plan that an earlier attempt claimed, as published: labels and Smart Views may have changed since.

    Raises `Stop` (``unknown``) if it can't be found.
    """
    artifacts = artifacts_of(record.run_id)
    stored = [_stored(each) for each in artifacts if each.type == KIND]
    for plan in stored or [_stored_by_0_1(each, record) for each in artifacts]:
        if plan and record.has_query(plan.s_query):
            return plan.model_copy(update=record.as_planned())
    raise Stop(
        Outcome.UNKNOWN,
        f"The plan of this run, with digest {record.digest}, is no longer among its artifacts. Look in Close at "
        f"{f'bulk delete {record.bulk_delete_id}' if record.bulk_delete_id else 'the bulk deletes of that time'}.",
    )


def _stored(artifact: Artifact) -> Plan | None:
    if newer := from_newer_version("The plan of this run", artifact.data, VERSION):
        raise Stop(Outcome.UNKNOWN, newer)
    try:
        return Plan.model_validate(artifact.data)
    except ValidationError:  # somebody edited it
        return None


def _stored_by_0_1(artifact: Artifact, record: Record) -> Plan | None:
    """The plan in the description of 0.1's table, for runs that were open during the upgrade."""
    text = artifact.description or ""
    if artifact.type != "table" or not (found := BLOCK.search(text)):
        return None
    plan = Plan.of(json.loads(found[1]), **record.as_planned())
    return plan.model_copy(update={"notes": tuple(unescape(each) for each in NOTE_0_1.findall(text))})
