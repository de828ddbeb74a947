"""Random schedules of faults, each the same every time it is run: whatever mixes, a run deletes at most once, and only
what was planned.

A seed decides how many leads there are and which, what goes wrong and when, how often the run is tried again and by
whom, and whether somebody cancels it. `CHAOS_SEEDS=1000 pytest tests/faults/test_chaos.py` looks further.
"""

import os
import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from support.attempts import cancelled, start_again, tried_again
from support.close_account import CloseAccount, lead

from tasks.runs.attempts import BY_AUTOMATION
from tasks.runs.outcomes import Outcome

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("fake_clock")]

ALWAYS = 4  # seeds of `make test`
SEEDS = int(os.environ.get("CHAOS_SEEDS", "100"))
CALLS = [
    ("GET", "/status/lead/"),
    ("POST", "/data/search/"),
    ("GET", "/bulk_action/delete/"),
    ("POST", "/bulk_action/delete/"),
    ("GET", "/bulk_action/delete/bulkdelete_"),
    ("PUT", "/bulk_action/delete/"),
]
FAULTS: list[dict[str, Any]] = [
    {"fault": "drop_before"},
    {"fault": "drop_after"},
    {"fault": "garbage"},
    {"fault": "truncate"},
    {"fault": "rate_limit", "seconds": 0.01},
    {"fault": "edit", "fields": {"status": "archived"}},
    *({"fault": "status", "status": status} for status in (401, 404, 500, 502, 503, 504)),
]
OPEN = {"opportunities": [{"status_type": "active"}]}


def seeds() -> list[Any]:
    """The first few are for `make test`, the rest for `make test-all`."""
    return [pytest.param(seed, marks=[pytest.mark.exhaustive] if seed >= ALWAYS else []) for seed in range(SEEDS)]


@pytest.mark.parametrize("seed", seeds())
def test_whatever_happens_a_run_deletes_at_most_once_and_only_what_was_planned(
    seed: int, sandbox: CloseAccount, run_cleanup: Callable[..., Any]
) -> None:
    chance = random.Random(seed)
    junk = sandbox.add(*(lead(f"junk {number}", "Junk") for number in range(chance.randint(1, 12))))
    kept = sandbox.add(*(lead(f"kept {number}", "Junk", **OPEN) for number in range(chance.randint(0, 3))), lead("B"))
    sandbox.jobs(created_seconds=0.02, loading_seconds=0.02, leads_per_second=chance.choice([20, 200, 5000]))
    sandbox.behaviour(
        bulk_delete_order=chance.choice(["newest_first", "oldest_first", "unordered"]),
        echo=chance.choice(["as_sent", "normalised"]),
        matching=chance.choice(["at_loading", "at_processing"]),
        index_lag_seconds=chance.choice([0, 0, 0.03]),
    )
    go_wrong(sandbox, chance)

    limits = {"max_share": 1.0, "max_wait_minutes": 30}
    first = run_cleanup(match={"status": ["Junk"]}, limits=limits, dry_run=False, backup=False)
    outcomes = [first.report.outcome]
    run_id = UUID(first.report.flow_run_id)
    for _ in range(chance.randint(0, 3)):
        go_wrong(sandbox, chance)
        if chance.random() < 0.2:
            outcomes.append(cancelled(run_id).outcome)
        again = tried_again(run_id, chance.choice([None, BY_AUTOMATION]))
        outcomes.append(again.outcome)
        check(sandbox, junk, kept, outcomes)
    sandbox.clear_faults()

    last = tried_again(run_id)
    outcomes.append(last.outcome)
    check(sandbox, junk, kept, outcomes)
    if last.outcome is Outcome.UNKNOWN:
        outcomes += ["started again", start_again(run_id).outcome]
    check(sandbox, junk, kept, outcomes)
    assert outcomes[-1] == "deleted", outcomes
    assert set(sandbox.leads()) == set(kept)


def go_wrong(sandbox: CloseAccount, chance: random.Random) -> None:
    """Some more trouble, at once or later."""
    for _ in range(chance.randint(1, 4)):
        method, path = chance.choice(CALLS)
        fault = chance.choice(FAULTS)
        sandbox.fault(method, path, times=chance.choice([1, 1, 2, 20]), after=chance.randint(0, 6), **fault)


def check(sandbox: CloseAccount, junk: list[str], kept: list[str], outcomes: list[str]) -> None:
    """What always holds. Looks where nothing goes wrong."""
    accepted = sandbox.get("/event/", object_type="bulk_action.delete", action="created")["data"]
    leads = set(sandbox.leads())
    assert len(accepted) <= 1 + outcomes.count("started again"), outcomes
    assert set(kept) <= leads, outcomes
    assert outcomes[-1] != "deleted" or not leads & set(junk), outcomes
