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
from support.attempts import attempt, cancelled, on_one_tick, start_again, tried_again
from support.close_account import CloseAccount, lead
from support.variations import first

from tasks.ledger import store as ledger
from tasks.runs.attempts import BY_AUTOMATION
from tasks.runs.outcomes import Outcome

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("fake_clock")]

ALWAYS = 2  # seeds of `make test`
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
ECHOES = ["as_sent", "normalised", "microseconds", "space", "no_zone"]
OPEN = {"opportunities": [{"status_type": "active"}]}


def seeds(always: int = ALWAYS) -> list[Any]:
    """The first few are for `make test`, the rest for `make test-all`."""
    return [pytest.param(seed, marks=[pytest.mark.exhaustive] if seed >= always else []) for seed in range(SEEDS)]


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
        echo=chance.choice(ECHOES),
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


@pytest.mark.parametrize("seed", seeds(always=1))
@pytest.mark.parametrize(
    "marks", first(1, [222_111, 444_111, 222_333]), ids=["both marks", "the first mark", "the second mark"]
)
def test_two_cleanups_on_one_tick_whose_marks_collide_delete_their_own_at_most_once(
    seed: int, marks: int, sandbox: CloseAccount, empty_ledger: None
) -> None:
    """If both marks are the same, which happens once in a million, the second is unknown and never posts."""
    chance = random.Random(seed)
    statuses = {each["label"]: each["id"] for each in sandbox.get("/status/lead/")["data"]}
    doomed = {
        label: sandbox.add(*(lead(f"{label} {number}", label) for number in range(chance.randint(1, 6))))
        for label in ("Junk", "Bad Fit")
    }
    kept = sandbox.add(lead("A", "Junk", **OPEN), lead("B"))
    sandbox.jobs(created_seconds=0.02, loading_seconds=0.02, leads_per_second=chance.choice([200, 5000]))
    sandbox.behaviour(
        bulk_delete_order=chance.choice(["newest_first", "oldest_first", "unordered"]), echo=chance.choice(ECHOES)
    )
    common = {"limits": {"max_share": 1.0, "max_wait_minutes": 30}, "dry_run": False, "backup": False}
    due = on_one_tick([{"match": {"status": [label]}, **common} for label in doomed], [222_111, marks])
    runs = dict(zip(doomed, due, strict=True))
    outcomes: dict[str, list[str]] = {label: [] for label in doomed}

    troubled = [(chance.choice([*doomed]), chance.choice([None, BY_AUTOMATION])) for _ in range(chance.randint(1, 4))]
    for number, (label, message) in enumerate([*troubled, *((label, None) for label in [*doomed, *doomed])]):
        if well := number >= len(troubled):
            sandbox.clear_faults()
        else:
            go_wrong(sandbox, chance)
        run, ends = runs[label], outcomes[label]
        if well and ends[-1:] == ["deleted"]:
            continue
        report = tried_again(run.id, message) if ends else attempt(run)
        ends.append(report.outcome if report else "no report")
        if well and ends[-1] == "unknown" and ledger.read(run.id):
            ends += ["started again", start_again(run.id).outcome]
        posted = [str(event) for event in accepted(sandbox)]
        left = set(sandbox.leads())
        for each, known in outcomes.items():
            assert sum(statuses[each] in event for event in posted) <= 1 + known.count("started again"), outcomes
            assert known[-1:] != ["deleted"] or not left & set(doomed[each]), outcomes
        assert set(kept) <= left, outcomes

    last = sorted(ends[-1] for ends in outcomes.values())
    assert last == (["deleted", "unknown"] if marks == 222_111 else ["deleted", "deleted"]), outcomes


def go_wrong(sandbox: CloseAccount, chance: random.Random) -> None:
    """Some more trouble, at once or later."""
    for _ in range(chance.randint(1, 4)):
        method, path = chance.choice(CALLS)
        fault = chance.choice(FAULTS)
        sandbox.fault(method, path, times=chance.choice([1, 1, 2, 20]), after=chance.randint(0, 6), **fault)


def accepted(sandbox: CloseAccount) -> list[dict[str, Any]]:
    """What Close's log says of bulk deletes that were started."""
    return sandbox.get("/event/", object_type="bulk_action.delete", action="created")["data"]


def check(sandbox: CloseAccount, junk: list[str], kept: list[str], outcomes: list[str]) -> None:
    """What always holds. Looks where nothing goes wrong."""
    leads = set(sandbox.leads())
    assert len(accepted(sandbox)) <= 1 + outcomes.count("started again"), outcomes
    assert set(kept) <= leads, outcomes
    assert outcomes[-1] != "deleted" or not leads & set(junk), outcomes
