"""A run that is tried again in this process, as Prefect does it: the same run, with the parameters it had."""

from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry

from flows.lead_cleanup import lead_cleanup
from tasks.ending import report_of
from tasks.report import Report


def tried_again(run_id: str, message: str | None = None) -> Report | None:
    """The report of one more attempt, which somebody or, if *message* says so, something has asked for."""
    with get_client(sync_client=True) as prefect:
        prefect.set_flow_run_state(UUID(run_id), AwaitingRetry(message=message), force=True)
        run = prefect.read_flow_run(UUID(run_id))
    return report_of(run_flow(lead_cleanup, flow_run=run, parameters=run.parameters, return_type="state"))  # pyright: ignore[reportArgumentType]
