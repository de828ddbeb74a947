"""The memory of a process that runs a cleanup, against one that runs an empty flow with as many tasks."""

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.child import child, peak_memory
from bench.places import fill, serving, use, without_heartbeats
from bench.table import Row

REPEATS = 3
LEADS = 1000


def rows() -> list[dict[str, Any]]:
    """The rows of this subject."""
    ours: list[float] = []
    empty: list[float] = []
    with serving() as [close], TemporaryDirectory() as folder:
        use(close)
        log = Path(folder) / "log"
        tasks = 0
        for _ in range(REPEATS):
            fill(close, LEADS)
            peak, tasks = child("bench.memory:of_a_cleanup", log=log)
            ours.append(peak)
            empty.append(child("bench.memory:of_an_empty_flow", tasks, log=log))
    row = Row(
        what=f"Peak memory of a cleanup of {LEADS:,} leads",
        value=median(ours),
        unit="MiB",
        against=f"an empty flow with {tasks} tasks",
        peer=median(empty),
        aim=1.15,
    )
    return [row.model_dump()]


def of_a_cleanup() -> tuple[float, int]:
    """MiB of this process after a cleanup, and how many tasks that had."""
    from flows.lead_cleanup import lead_cleanup
    from tasks.report.ending import report_of

    limits: Any = {"max_leads": 100_000, "max_share": 1.0, "ramp": False}
    match: Any = {"status": ["Junk"]}
    with without_heartbeats():
        state = lead_cleanup(match=match, limits=limits, dry_run=False, expect=LEADS, return_state=True)
    report, peak = report_of(state), peak_memory()
    assert report
    assert report.outcome == "deleted", state.message
    assert state.state_details.flow_run_id

    from bench.cleanups import tasks_of

    return peak, tasks_of(state.state_details.flow_run_id)


def of_an_empty_flow(tasks: int) -> float:
    """MiB of this process after a flow that does nothing."""
    from bench.empty_flow import empty

    with without_heartbeats():
        empty(tasks)
    return peak_memory()
