"""A restore of leads with everything attached, against the rate at which Close takes requests."""

import time
from collections import Counter
from typing import Any, cast

from bench.cleanups import cleanup
from bench.places import serving, use, without_heartbeats
from bench.table import Row
from support.close_account import CloseAccount, lead

from deployments.sandbox.switches.rate_limits import BUCKETS, OTHERS, RateLimitSettings
from flows.restore_leads import restore_leads
from tasks.report.ending import report_of

LEADS = 1000


def rows() -> list[dict[str, Any]]:
    """The rows of this subject."""
    with serving() as [close], without_heartbeats():
        use(close)
        close.reset()
        for begin in range(0, LEADS, 100):
            close.add(*(_with_everything(number) for number in range(begin, begin + 100)))
        close.add(*(lead(f"Other {number}") for number in range(10)))
        close.jobs(leads_per_second=1e6, created_seconds=0, loading_seconds=0)
        run = cleanup(LEADS)
        close.limit_rates()
        close.forget_requests()
        began = time.monotonic()
        state = cast("Any", restore_leads(backup=str(run), dry_run=False, return_state=True))
        taken = time.monotonic() - began
        report = cast("Any", report_of(state))
        assert report.outcome == "restored", state.message
        found = _rows(close, taken)
    return [row.model_dump() for row in found]


def _rows(close: CloseAccount, taken: float) -> list[Row]:
    journal = close.requests()
    accepted = sum(each["status"] != 429 for each in journal)
    return [
        Row(
            what=f"Restore of {LEADS:,} leads with everything attached",
            value=len(journal) / taken,
            unit="requests/s",
            against="the rate that Close allows",
            peer=len(journal) / _allowed(journal),
            aim=0.9,
            at_least=True,
        ),
        Row(
            what="Requests of that restore that Close accepts (no 429)",
            value=accepted,
            unit="requests",
            against="all that are sent",
            peer=len(journal),
            aim=1,
            at_least=True,
        ),
    ]


def _allowed(journal: list[dict[str, Any]]) -> float:
    """Seconds that the rate limits need for these requests: all windows but the last, which needn't end."""
    counts = Counter(_bucket(each["method"], each["path"]) for each in journal)
    return max((number - 1) // size for (_, _, size), number in counts.items()) * RateLimitSettings().window_seconds


def _bucket(method: str, path: str) -> tuple[str, str, int]:
    return next((each for each in BUCKETS if each[0] in ("*", method) and path.startswith(each[1])), ("*", "/", OTHERS))


def _with_everything(number: int) -> dict[str, Any]:
    contact = f"cont_{number:040}"
    return lead(
        f"Junk {number}",
        "Junk",
        description="Met at the fair",
        contacts=[{"id": contact, "name": "Ann Other", "emails": [{"email": f"a{number}@acme.example"}]}],
        opportunities=[{"contact_id": contact, "status_type": "lost", "value": 120_000}],
        tasks=[{"text": "Call back", "date": "2020-05-06"}],
        activities=[
            {"_type": "Note", "note": "Asked for prices."},
            {"_type": "Call", "note": "Spoke.", "duration": 90, "direction": "inbound", "contact_id": contact},
            {"_type": "SMS", "text": "On my way.", "status": "sent", "contact_id": contact},
        ],
    ) | {"last_communication_date": "2020-01-01T00:00:00Z"}
