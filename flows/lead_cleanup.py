"""Delete the leads of a Close organisation that meet readable criteria, with one bulk delete.

The imports show which package of ``tasks`` holds each step: plan → approval → backup → bulk_delete → report. Deletes
nothing unless ``dry_run`` is turned off. Needs a Close API key: ``CLOSE_API_KEY``, or a Prefect Secret block that
``CLOSE_API_KEY_BLOCK`` names.
"""

from prefect.client.schemas.objects import State

from tasks.approval.ask import require_approval
from tasks.backup.make_backup import make_backup
from tasks.bulk_delete.attempt import check_attempt
from tasks.bulk_delete.cancel import pause_when_cancelled
from tasks.bulk_delete.ending import CleanupEnding
from tasks.bulk_delete.other_runs import wait_for_other_runs
from tasks.bulk_delete.reconcile import count_remaining, read_event_log
from tasks.bulk_delete.start import continue_bulk_delete, read_record, start_bulk_delete
from tasks.bulk_delete.wait import wait_for_bulk_delete
from tasks.criteria.policy import Approval, CleanupName, Expected, Keep, Limits, Match, Sample, Switch, TimeZone
from tasks.criteria.selection import Criteria
from tasks.plan.checks import check_plan
from tasks.plan.make_plan import make_plan
from tasks.plan.run_name import run_name
from tasks.report.ending import announce
from tasks.report.model import Report
from tasks.report.plan_artifact import load_plan, publish_plan
from tasks.runs.logs import log_expected_errors_in_one_line
from tasks.runs.parameters import check_parameters, checked_flow
from tasks.runs.run import this_run

log_expected_errors_in_one_line()


@checked_flow(
    name="lead-cleanup",
    flow_run_name=run_name,
    retries=0,
    persist_result=False,
    on_completion=[announce],
    on_failure=[announce],
    on_cancellation=[pause_when_cancelled],
)
def lead_cleanup(
    match: Match,
    keep: Keep = Keep(),
    limits: Limits = Limits(),
    backup: Switch = True,
    cleanup: CleanupName = None,
    sample: Sample = 25,
    time_zone: TimeZone = "UTC",
    expect: Expected = None,
    approval: Approval = "never",
    dry_run: Switch = True,
) -> State[Report]:
    """Delete the leads that meet all of *match* and none of *keep*, if they are within *limits*.

    Args:
        match: What a lead must meet to be deleted: all that you set. At least one is needed.
        keep: What protects a lead: any of these is enough.
        limits: How much a run may do.
        backup: Export the planned leads before deleting them. OFF: deleted leads can't be restored.
        cleanup: Name in artifacts, run names and the ramp, instead of the deployment's. A new name starts small again.
        sample: How many of the planned leads to show by name. 0 keeps names out of Prefect altogether.
        time_zone: Where days begin, for local dates in Smart Views and queries.
        expect: Stop unless exactly this many leads are planned. Without a deployment this is the approval too.
        approval: Ask a person before anything is deleted: never, always, or above N leads (above 100).
        dry_run: ON: only plan. OFF: leads are really deleted in Close.

    """
    with CleanupEnding(this_run(cleanup)) as end:
        end.record = read_record(end.run)
        check_parameters()
        check_attempt(end.run, end.record, limits)
        if end.record is None or end.record.may_plan_again:
            wait_for_other_runs(end.run, limits, dry_run=dry_run)
            criteria = Criteria(match, keep, end.run.as_of, time_zone, end.run.updated_before)
            end.plan = make_plan(end.run, criteria, limits, approval, sample=sample, dry_run=dry_run)
            end.plan_page = publish_plan(end.run, end.plan)
            check_plan(end.plan, limits, expect=expect, dry_run=dry_run)
            end.plan = require_approval(end.run, end.plan, approval, expect)
            end.backup = make_backup(end.run, end.plan, criteria, wanted=backup)
            end.bulk_delete_id = start_bulk_delete(end.run, end.plan, end.record, end.backup)
        else:
            end.plan = load_plan(end.record)
            end.bulk_delete_id = continue_bulk_delete(end.run, end.record, end.plan, limits)
        end.finished = wait_for_bulk_delete(end.run, end.plan, end.bulk_delete_id, limits.max_wait_minutes)
        end.remaining = count_remaining(end.plan, end.finished.job)
        end.log = read_event_log(end.plan, end.finished.job, end.backup_taken)
    return end.state
