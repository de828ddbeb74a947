"""The plan on the Prefect server: a table for people, and the plan itself as JSON, for a retry of the run.

The table, with a sample of the leads, has the cleanup's key. The JSON has no key and no names: it is what an attempt
reads that finds a claim, since an attempt never builds its query a second time.
"""

import json
import re

from prefect.client.schemas.objects import Artifact
from pydantic import ValidationError

from tasks.ledger.record import Record
from tasks.plan.model import VERSION, Plan, digest
from tasks.report.artifacts import BLOCK, artifact_key, artifacts_of, publish
from tasks.report.markdown import escape, kept_by, sample_rows, unescape
from tasks.runs.outcomes import Outcome, Stop
from tasks.runs.retries import once, reads
from tasks.runs.run import Run
from tasks.runs.versions import from_newer_version

KIND = "lead-cleanup-plan"
"""The type of the artifact that holds the JSON."""
NOTE_0_1 = re.compile(r"^> (.+)$", re.MULTILINE)
"""A note on a plan, in the table that 0.1 published: it had no JSON besides."""


@once
def publish_plan(run: Run, plan: Plan) -> None:
    """Show what would be deleted, before anything is. Raises when the Prefect API can't be written: no plan, no run."""
    counts = plan.counts
    publish(run, KIND, plan.model_dump(mode="json"), description="The plan, for a retry of this run.")
    publish(
        run,
        "table",
        json.dumps(sample_rows(plan)),
        key=artifact_key(run, plan.organization_id, plan.organization, "plan"),
        description="\n\n".join(
            [
                f"**{counts.planned:,} of {counts.total:,} leads would be deleted.** {counts.matched:,} match, "
                f"{counts.kept['total']:,} of them are kept. Below are the {len(plan.sample)} oldest.",
                f"Criteria: {escape(plan.criteria)}",
                kept_by(counts),
                *(f"> {escape(note)}" for note in plan.notes),
                f"Seen by {escape(plan.seen_by)} on {plan.as_of:%Y-%m-%d %H:%M} UTC. Digest `{plan.digest}`.",
                f"```json\n{json.dumps(plan.s_query, indent=2)}\n```",
            ]
        ),
    )


@reads
def recall_plan(record: Record) -> Plan:
    """The plan that an earlier attempt of the run claimed, as it was shown: labels get renamed, Smart Views edited.

    Raises `Stop` (``unknown``) if it can't be found.
    """
    artifacts = artifacts_of(record.run_id)
    stored = [_stored(each) for each in artifacts if each.type == KIND]
    for plan in stored or [_stored_by_0_1(each, record) for each in artifacts]:
        if plan and digest(record.organization_id, plan.s_query) == record.digest:
            return plan.model_copy(update=record.as_planned())
    raise Stop(
        Outcome.UNKNOWN,
        f"The plan of this run, with digest {record.digest}, is not among its artifacts any more. Look in Close at "
        f"what bulk delete {record.bulk_delete_id or '(none recorded)'} did.",
    )


def _stored(artifact: Artifact) -> Plan | None:
    if newer := from_newer_version("The plan of this run", artifact.data, VERSION):
        raise Stop(Outcome.UNKNOWN, newer)
    try:
        return Plan.model_validate(artifact.data)
    except ValidationError:  # somebody edited it
        return None


def _stored_by_0_1(artifact: Artifact, record: Record) -> Plan | None:
    """The plan in the description of the table, for runs that were open when 0.1 was upgraded."""
    text = artifact.description or ""
    if artifact.type != "table" or not (found := BLOCK.search(text)):
        return None
    plan = Plan.of(json.loads(found[1]), **record.as_planned())
    return plan.model_copy(update={"notes": tuple(unescape(each) for each in NOTE_0_1.findall(text))})
