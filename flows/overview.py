"""Show how the latest run of each deployment ended, in every organisation, and which of them need a person.

One artifact, ``lead-cleanup-overview``. Asks Prefect only: it needs no key, and no failing organisation can stop it.
"""

from datetime import UTC, datetime

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks.runs.logs import log_expected_errors_in_one_line
from tasks.runs.run import this_run
from tasks.summary.overview import headline, publish_overview, read_latest_runs

log_expected_errors_in_one_line()


@flow(name="overview", flow_run_name="overview", retries=0, persist_result=False)
def overview() -> State[None]:
    """Publish the overview of all organisations."""
    found = read_latest_runs(datetime.now(UTC))
    publish_overview(this_run("overview"), found)
    return Completed(message=f"{headline(found)}.")
