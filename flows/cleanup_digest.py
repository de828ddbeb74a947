"""Sum up what cleanups and restores did lately, what came of it, and what needs a person. Asks Prefect, never Close."""

from datetime import UTC, datetime
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from tasks.criteria.policy import TimeZone
from tasks.runs.heartbeat import send_heartbeat
from tasks.runs.logs import log_expected_errors_in_one_line
from tasks.summary.digest import markdown, publish_digest, read_digest

log_expected_errors_in_one_line()


@flow(name="cleanup-digest", retries=0, persist_result=False)
def cleanup_digest(days: Annotated[int, Field(ge=1, le=365)] = 7, time_zone: TimeZone = "UTC") -> State[str]:
    """Publish the digest of the last *days* days as the artifact ``cleanup-digest``.

    Args:
        days: How many days to look back.
        time_zone: In which time zone to write when they begin and end.

    """
    digest = read_digest(days, datetime.now(UTC))
    publish_digest(markdown(digest, time_zone), digest.summary)
    send_heartbeat()
    return Completed(name="Digest", message=digest.summary, data=digest.summary)
