"""Delete the leads of a Close organisation that meet readable criteria: plan, check, start once, wait, verify, record.

Needs a Close API key: ``CLOSE_API_KEY``, or a Prefect Secret block that ``CLOSE_API_KEY_BLOCK`` names. Deletes nothing
unless ``dry_run`` is turned off.
"""

from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from tasks.bulk_delete import adopt_bulk_delete, read_record, start_bulk_delete, wait_for_bulk_delete
from tasks.ending import Ending
from tasks.plan import decide
from tasks.policy import Keep, Limits, Match, TimeZone
from tasks.preview import count_remaining, make_plan
from tasks.publish import publish_plan, recall_plan
from tasks.report import Report
from tasks.run import run_name, this_run


@flow(name="lead-cleanup", flow_run_name=run_name, retries=0, persist_result=False)
def lead_cleanup(
    match: Match,
    keep: Keep = Keep(),
    limits: Limits = Limits(),
    dry_run: Annotated[bool, Field(title="Dry run", description="Plan only; delete nothing.")] = True,
    expect: Annotated[int | None, Field(ge=0, description="Stop unless exactly this many leads are planned.")] = None,
    sample: Annotated[int, Field(ge=0, le=100, description="How many planned leads to show by name.")] = 25,
    time_zone: Annotated[TimeZone, Field(description="Where days begin, for local dates in queries.")] = "UTC",
    cleanup: Annotated[str | None, Field(description="Name in artifacts, instead of the deployment's.")] = None,
) -> State[Report]:
    """Delete the leads that meet all of *match* and none of *keep*, if they are within *limits*."""
    with Ending(this_run(cleanup)) as end:
        record = read_record(end.run)
        if record is None:
            end.plan = make_plan(end.run, match, keep, limits, sample, time_zone)
            publish_plan(end.run, end.plan)
            decide(end.plan, limits, expect=expect, dry_run=dry_run)
            end.bulk_delete_id = start_bulk_delete(end.run, end.plan)
        else:
            end.plan = recall_plan(record)
            end.bulk_delete_id = adopt_bulk_delete(record, end.plan)
        end.finished = wait_for_bulk_delete(end.bulk_delete_id, limits.max_wait_minutes)
        end.remaining = count_remaining(end.plan, end.finished.job)
    return end.state
