"""How long searches take in an organisation of a million leads: ``python tests/sandbox/a_million_leads.py FILE``.

Not a test: making the leads up takes about two minutes and 2 GB. A FILE made before is used again.
"""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from words_for_close import LEAD, Query, both, either, field, related, utc, where

from deployments.sandbox.organization import STATUS_IDS
from deployments.sandbox.server import Sandbox


def _days_ago(days: int) -> Query:
    return utc((datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.000Z"))


def _has(opportunity: str) -> Query:
    return related("opportunity", where(field("status_type", "opportunity"), "term", values=[opportunity]))


JUNK = where("status_id", "reference", reference_type="status.lead", object_ids=[STATUS_IDS["Junk"]])
STALE = either(
    where("last_communication_date", "moment_range", before=_days_ago(365)),
    both(
        where("last_communication_date", "exists", negate=True),
        where("date_created", "moment_range", before=_days_ago(365)),
    ),
)
KEPT = (
    _has("active"),
    _has("won"),
    where("num_upcoming_meetings", "number_range", gt=0),
    related("sequence_subscription", where(field("status", "sequence_subscription"), "term", values=["active"])),
    where("date_created", "moment_range", on_or_after=_days_ago(30)),
    where("last_communication_date", "moment_range", on_or_after=_days_ago(30)),
)
CUT_OFF = (
    where("date_created", "moment_range", before=_days_ago(0)),
    where("date_updated", "moment_range", before=_days_ago(0)),
)
OLDEST_FIRST = [{"direction": "asc", "field": field("date_created")}]
CASES: dict[str, tuple[Query, dict[str, object]]] = {
    "count: one status": (both(LEAD, JUNK), {"include_counts": True, "results_limit": 0}),
    "count: stale": (both(LEAD, STALE), {"include_counts": True, "results_limit": 0}),
    "count: stale, not kept": (
        both(LEAD, STALE, either(*KEPT, negate=True), *CUT_OFF),
        {"include_counts": True, "results_limit": 0},
    ),
    "page: one status": (both(LEAD, JUNK), {"_limit": 100}),
    "page: stale, not kept, oldest first": (
        both(LEAD, STALE, either(*KEPT, negate=True), *CUT_OFF),
        {"_limit": 100, "sort": OLDEST_FIRST},
    ),
}


def main(file: Path) -> None:
    """Print the seconds of each case, the second time it is asked."""
    with (
        Sandbox(leads=1_000_000, database=file, rate_limits=False) as sandbox,
        httpx.Client(base_url=sandbox.url, auth=("api_sandbox.admin", ""), timeout=120) as client,
    ):
        for name, (query, more) in CASES.items():
            body = {"query": query, "_fields": {"lead": ["id", "display_name", "last_communication_date"]}, **more}
            client.post("data/search/", json=body).raise_for_status()
            began = time.monotonic()
            count = client.post("data/search/", json=body).json().get("count", {}).get("total", "")
            print(f"{time.monotonic() - began:6.2f} s  {name} {count}")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
