"""A plan for few leads and for a million: the same requests, the same memory."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from bench.child import child, peak_memory
from bench.places import serving, without_heartbeats
from bench.table import Row

SIZES = (1_000, 100_000, 1_000_000)
AIM_OF_MEMORY = 1.05  # two runs of the same differ by less


def rows() -> list[dict[str, Any]]:
    """The rows of this subject."""
    requests: dict[int, int] = {}
    memory: dict[int, float] = {}
    with TemporaryDirectory() as folder:
        for leads in SIZES:
            kept = Path(os.environ.get("BENCH_DATABASES", folder)) / f"{leads}.db"
            with serving(leads=leads, database=kept) as [close]:
                close.forget_requests()
                close.limit_rates()
                memory[leads] = child("bench.plans:peak_of_a_plan", close.url, log=Path(folder) / "log")
                requests[leads] = len(close.requests())
    few, *more = SIZES
    found = [
        row
        for leads in more
        for row in (
            Row(
                what=f"Requests of a plan among {leads:,} leads",
                value=requests[leads],
                unit="requests",
                against=f"a plan among {few:,} leads",
                peer=requests[few],
                aim=1,
            ),
            Row(
                what=f"Peak memory of a plan among {leads:,} leads",
                value=memory[leads],
                unit="MiB",
                against=f"a plan among {few:,} leads",
                peer=memory[few],
                aim=AIM_OF_MEMORY,
            ),
        )
    ]
    return [row.model_dump() for row in found]


def peak_of_a_plan(url: str) -> float:
    """MiB of this process after a dry run."""
    from support.close_account import ADMIN

    from flows.lead_cleanup import lead_cleanup
    from tasks.report.ending import report_of

    os.environ.update(CLOSE_API_URL=url, CLOSE_API_KEY=ADMIN)
    with without_heartbeats():
        state = lead_cleanup(
            match=cast("Any", {"status": ["Junk"]}),
            limits=cast("Any", {"max_leads": 10_000_000, "max_share": 1.0, "batch": 50}),
            return_state=True,
        )
    report = report_of(state)
    assert report
    assert report.outcome == "dry_run", state.message
    return peak_memory()
