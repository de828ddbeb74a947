"""Restore the leads of a backup: check it, plan, create each object at most once, report what can't be restored.

Needs a Close API key, as `flows.lead_cleanup` does. Creates nothing unless ``dry_run`` is turned off, and never
sends anything to anybody.
"""

from prefect.client.schemas.objects import State

from tasks.bulk_delete.attempt import check_may_retry
from tasks.criteria.policy import Switch
from tasks.report.ending import announce
from tasks.restore.create import restore
from tasks.restore.plan import Instead, WhenMissing, WhichBackup, WhichLeads, check_plan, plan_restore
from tasks.restore.report import RestoreEnding, RestoreReport
from tasks.runs.logs import log_expected_errors_in_one_line
from tasks.runs.parameters import check_parameters, checked_flow
from tasks.runs.run import this_run
from tasks.runs.run_names import restore_name

log_expected_errors_in_one_line()


@checked_flow(
    name="restore-leads",
    flow_run_name=restore_name,
    retries=0,
    persist_result=False,
    on_completion=[announce],
    on_failure=[announce],
)
def restore_leads(
    backup: WhichBackup,
    leads: WhichLeads = [],  # noqa: B006 - Prefect copies parameters, and its form needs a list
    missing: WhenMissing = "stop",
    instead: Instead = {},  # noqa: B006
    dry_run: Switch = True,
) -> State[RestoreReport]:
    """Restore the leads of *backup* that Close no longer has, with everything that can be restored.

    Args:
        backup: Where the backup is: the address of its folder, or the id of the flow run that made it.
        leads: Ids of the leads to restore; empty for all of them.
        missing: What to do about a status, a user, a custom field or a choice that the organisation lacks.
        instead: Ids in the backup, and the ids in the organisation that replace them.
        dry_run: ON: only plan. OFF: leads are really created in Close.

    """
    with RestoreEnding(this_run("restore")) as end:
        check_parameters()
        check_may_retry(end.run)
        end.plan = plan_restore(backup, leads, instead)
        check_plan(end.plan, missing, dry_run=dry_run)
        end.restored = restore(end.plan)
    return end.state
