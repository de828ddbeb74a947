"""The last runs of a cleanup, from the reports that they have published under its key: one read, and none of Close."""

import json
import re
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from prefect.client.schemas.filters import ArtifactFilter
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import ArtifactSort
from pydantic import ValidationError

from tasks.report.model import Report
from tasks.report.page import PastRun
from tasks.runs.connect import plain, prefect

RUNS = 10
REPORTS = 2 * RUNS
"""How many reports are read for that: a run that was retried has several."""
BLOCK = re.compile(r"```json\n(.*)\n```", re.DOTALL)
"""The JSON at the end of a page: a report or a query."""


def earlier_runs(key: str, run_id: UUID, before: datetime | None = None) -> list[PastRun]:
    """The last runs but this one with a report under *key*, newest first, if published *before* that instant.

    Raises `PrefectUnavailable`.
    """
    under_key = ArtifactFilter.model_validate({"key": {"any_": [key]}, "type": {"any_": ["markdown"]}})
    with prefect() as server:
        found = server.read_artifacts(artifact_filter=under_key, sort=ArtifactSort.CREATED_DESC, limit=REPORTS)
    runs: dict[str, PastRun] = {}
    for each in found:
        past = _past_run(each) if each.flow_run_id not in {None, run_id} else None
        if past and (before is None or past.ended < before):
            runs.setdefault(past.run_id, past)
    return list(runs.values())[:RUNS]


def report_in(artifact: Artifact) -> dict[str, Any] | None:
    """The report that *artifact* shows, as it was published; None if it shows something else."""
    if artifact.type != "markdown" or not (found := BLOCK.search(str(artifact.data))):
        return None
    try:
        report = json.loads(found[1])
    except ValueError:  # somebody edited it
        return None
    return cast("dict[str, Any]", report) if isinstance(report, dict) and "outcome" in report else None


def _past_run(artifact: Artifact) -> PastRun | None:
    found = report_in(artifact)
    try:
        report = Report.model_validate(found)
    except ValidationError:  # there is none, or it is of another kind or a newer version
        return None
    return PastRun(
        ended=plain(artifact.created or datetime.now(UTC)),
        outcome=report.outcome,
        matched=report.matched,
        kept=(report.kept or {}).get("total"),
        deleted=report.processed,
        run_id=str(artifact.flow_run_id),
    )
