"""How a run starts one bulk delete, explored: every way in which copies of it, Close, people and accidents can mix.

The model does what `tasks` does, one touch of the ledger and of Close after the other (`model.protocol`), and lets
everything else happen in between (`model.surroundings`): the run is executed twice at once, crashes anywhere, is tried
again, cancelled and resumed; POSTs and answers get lost or come late; Close's list lags; labels are renamed; another
run competes. No world that can be reached breaks a promise, and from each the run can be brought to its end
(`model.exploration`). Leave out any one guard, and the search tells how a promise is broken: `pytest -rP tests/model`.

What remains is what no client can know:

=====================================================  =======================================================
what happens                                           what comes of it
=====================================================  =======================================================
The ledger is lost, and Close's list does not show     Somebody deleted the Variables of a run that has just
the bulk delete (yet).                                 started. Tried again, it finds neither a record nor a
                                                       bulk delete, and starts a second one.
A POST reaches Close later than the settling time,     The run had ended `unknown`, and Close showed nothing.
and a person has let the run start again by then.      Then both POSTs take effect. As long as nobody lets it
                                                       start again there is one, and a retry finds it.
Close's list hides a bulk delete for longer than the   The same: the person was shown nothing, and the run
settling time, and a person has let the run start      starts a second one.
again by then.
One of these two, and a person has given up the        Another run starts, and the two delete at once; each
run's claim by then.                                   of them once.
The user whose key the run has starts the run's own    Query, marks and author are the run's. If the run does
query by hand.                                         not know what came of its own POST, it takes that bulk
                                                       delete for its own, and reports what that one did.
Two runs of the same criteria fall on the same second  Once in a million such pairs. Their queries are the same in
and share both marks.                                  every letter: the second takes the bulk delete of the first
                                                       for its own, and reports what that one did.
=====================================================  =======================================================
"""

import re
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pytest
from model.exploration import (
    Promise,
    can_be_brought_to_its_end,
    cancelled_starts_nothing,
    deleted_is_true,
    explore,
    one_bulk_delete_a_run,
    one_more_for_each_permission,
    one_run_at_a_time,
    strangers_are_no_trouble,
    the_report_shows_what_was_done,
)
from model.world import Event, Guard, Scenario, World

HERE = Path(__file__).parent
TASKS = HERE.parents[1] / "tasks"

SAFE: tuple[Promise, ...] = (
    one_bulk_delete_a_run,
    one_more_for_each_permission,
    one_run_at_a_time,
    deleted_is_true,
    the_report_shows_what_was_done,
    cancelled_starts_nothing,
)

TWO_COPIES = Scenario()
THREE_COPIES = Scenario(copies="ABC")
RENAMED = Scenario(events=frozenset({Event.RENAMED}))
STARTED_AGAIN = Scenario(events=frozenset({Event.STARTS_AGAIN}))
CANCELLED = Scenario(by_person="B", events=frozenset({Event.CANCELS}))
LOST_IN_PEACE = Scenario(events=frozenset({Event.LOST_IN_PEACE}))
COPIED_BY_HAND = Scenario(events=frozenset({Event.THEIR_COPY}))
TWO_RUNS = Scenario(copies="A", rival="X")
TWO_RUNS_ONE_TWICE = Scenario(copies="AB", rival="X", calm=True)
GIVEN_UP = Scenario(copies="A", rival="X", events=frozenset({Event.GIVES_UP}))
ONE_MARK_SHARED = replace(TWO_RUNS, shared_marks=1)
BOTH_MARKS_SHARED = replace(TWO_RUNS, shared_marks=2, other_criteria=True)
CHANGED_BY_HAND = replace(TWO_RUNS, events=frozenset({Event.CHANGED_COPY}))
OTHERS = {
    "another run": TWO_RUNS,
    "another run and two copies": TWO_RUNS_ONE_TWICE,
    "another run with one of its marks": ONE_MARK_SHARED,
    "a claim that is given up": GIVEN_UP,
    "another user's copy": COPIED_BY_HAND,
    "a changed copy": replace(COPIED_BY_HAND, events=frozenset({Event.CHANGED_COPY})),
    "a changed copy and another run": CHANGED_BY_HAND,
}


@pytest.mark.parametrize(
    "scenario",
    [THREE_COPIES, RENAMED, STARTED_AGAIN, CANCELLED, LOST_IN_PEACE],
    ids=["three copies", "renamed labels", "started again", "cancelled and resumed", "ledger lost in peace"],
)
def test_a_run_keeps_every_promise_and_can_be_brought_to_its_end(scenario: Scenario):
    assert explore(World(scenario), *SAFE, can_be_brought_to_its_end).trace == []


@pytest.mark.parametrize("scenario", OTHERS.values(), ids=OTHERS)
def test_what_others_do_breaks_no_promise(scenario: Scenario):
    """It may keep the run from its end: `refused` while another one deletes, `unknown` beside a copy of its query."""
    assert explore(World(scenario), *SAFE, strangers_are_no_trouble).trace == []


def test_a_run_that_shares_both_marks_with_another_is_unknown_and_does_nothing():
    """Once in a million, and only here may a run be unknown that has claimed nothing."""
    found = explore(World(BOTH_MARKS_SHARED), *SAFE)
    ends = {process.outcome for world in found.before for process in world.processes if process.name == "X"}

    assert (found.trace, "unknown" in ends) == ([], True)


def test_the_model_comes_to_every_end():
    """Where nothing happens, promises are easily kept."""
    worlds = chain(explore(World(TWO_COPIES)).before, explore(World(replace(CANCELLED, copies="A"))).before)
    ends = {process.outcome for world in worlds for process in world.processes if process.step is None}

    assert ends >= {"deleted", "unknown", "refused", "cancelled", "still running"}, "of an attempt"
    assert ends >= {"nothing started", "paused", "too late"}, "of a cancellation"


class Need(NamedTuple):
    """A promise that is broken without the guard, in which scenario, and the gist of how."""

    promise: Promise
    scenario: Scenario
    gist: tuple[str, ...]


NEEDS = {
    Guard.CLAIM: Need(
        one_bulk_delete_a_run,
        TWO_COPIES,
        ("A looks, and sees nothing of its own", "A posts", "B looks, and sees nothing of its own", "B posts"),
    ),
    Guard.NONCE: Need(
        one_bulk_delete_a_run,
        TWO_COPIES,
        ("A writes claim A1", "A posts", "B meets claim A1", "B sees that its claim stands", "B posts"),
    ),
    Guard.RECORD_FIRST: Need(can_be_brought_to_its_end, RENAMED, ("A plans", "A writes claim A1")),
    Guard.RECORDED_QUERY: Need(can_be_brought_to_its_end, RENAMED, ("A plans", "A posts", "the labels are renamed")),
    Guard.LOOK_BEFORE: Need(
        one_bulk_delete_a_run,
        LOST_IN_PEACE,
        ("Close's list shows bulk delete 1", "the ledger is lost", "B begins, and has no record", "B posts"),
    ),
    Guard.LOOK_AFTER: Need(can_be_brought_to_its_end, TWO_COPIES, ("A writes claim A1", "A posts")),
    Guard.MARK: Need(
        strangers_are_no_trouble,
        TWO_RUNS,
        ("A posts", "X looks, and sees a bulk delete with its marks and another query"),
    ),
    Guard.BOTH_MARKS: Need(
        strangers_are_no_trouble,
        ONE_MARK_SHARED,
        ("A posts", "X looks, and sees a bulk delete with its marks and another query"),
    ),
    Guard.QUERY: Need(
        deleted_is_true,
        BOTH_MARKS_SHARED,
        ("A posts", "X looks, and finds bulk delete 1", "X sees that bulk delete 1 is done"),
    ),
    Guard.AUTHOR: Need(
        deleted_is_true,
        COPIED_BY_HAND,
        ("A writes claim A1", "another user starts the query by hand, as bulk delete 1", "B records job = 1"),
    ),
    Guard.ONE_POST: Need(
        one_bulk_delete_a_run,
        TWO_COPIES,
        ("A posts", "Close accepts the POST of A as bulk delete 1, and the answer is lost", "A posts"),
    ),
    Guard.YOUNG_CLAIM: Need(
        one_bulk_delete_a_run,
        STARTED_AGAIN,
        ("A sees that its claim stands", "the person lets the run start again", "A posts", "B posts"),
    ),
    Guard.NOT_CANCELLED: Need(
        cancelled_starts_nothing,
        CANCELLED,
        ("a person cancels the run", "the hook reports that nothing was started", "A writes claim A1", "A posts"),
    ),
    Guard.OTHER_RUNS: Need(one_run_at_a_time, TWO_RUNS, ("A posts", "X looks, and sees nothing of its own", "X posts")),
    Guard.SETTLED: Need(
        one_run_at_a_time,
        CHANGED_BY_HAND,
        (
            "A writes claim A1",
            "our user starts a changed query by hand, as bulk delete 1",
            "bulk delete 1 is done",
            "X has seen that claim A1 of another run came to its end",
            "X posts",
        ),
    ),
    Guard.KEPT_RECORD: Need(
        one_bulk_delete_a_run,
        THREE_COPIES,
        (
            "A deletes its record; the answer is lost, and it will ask again",
            "B writes claim B1",
            "A deletes its record",
            "B posts",
            "C begins, and has no record",
            "C posts",
        ),
    ),
    Guard.PATIENCE: Need(
        one_bulk_delete_a_run, STARTED_AGAIN, ("A posts", "the person lets the run start again", "B posts")
    ),
    Guard.CLAIMED_PLAN: Need(
        the_report_shows_what_was_done,
        RENAMED,
        ("A writes claim A1", "the labels are renamed", "B plans", "B meets claim A1", "B records ended = done"),
    ),
    Guard.CARE: Need(
        one_run_at_a_time,
        GIVEN_UP,
        ("A posts", "the person says that nothing more comes of claim A1", "X sees no other run in its way", "X posts"),
    ),
}


def test_what_every_guard_is_there_for_is_known():
    assert set(NEEDS) == set(Guard)


@pytest.mark.parametrize("guard", Guard, ids=lambda guard: guard.name)
def test_without_a_guard_a_promise_is_broken(guard: Guard):
    """By the shortest way there is; where the run can't be brought to its end, everybody dies after the last line."""
    promise, scenario, gist = NEEDS[guard]

    trace = explore(World(replace(scenario, without=frozenset({guard}))), promise).trace

    tell(f"Unless {guard}:", *trace, "And the promise was:", promise.__doc__)
    assert in_order(gist, trace)


# What no client can know

BREAK = [{Event.LEDGER_LOST}, {Event.LATE_POST, Event.STARTS_AGAIN}, {Event.LONG_LAG, Event.STARTS_AGAIN}]
DO_NOT_BREAK = [{Event.LATE_POST, Event.LONG_LAG}, {Event.STARTS_AGAIN}]


@pytest.mark.parametrize("events", [*BREAK, *DO_NOT_BREAK], ids=lambda events: ", ".join(sorted(events)))
def test_a_run_has_two_bulk_deletes_only_where_no_client_can_know(events: set[Event]):
    """An event only adds to what may happen, so these say it of all combinations of the four."""
    trace = explore(World(Scenario(events=frozenset(events))), one_bulk_delete_a_run).trace

    tell(*trace)
    assert bool(trace) == (events in BREAK)


def test_even_then_a_person_who_permits_one_more_gets_one_more():
    late = frozenset({Event.STARTS_AGAIN, Event.LATE_POST, Event.LONG_LAG})

    assert explore(World(Scenario(events=late)), one_more_for_each_permission).trace == []


@pytest.mark.parametrize("event", [Event.LATE_POST, Event.LONG_LAG], ids=lambda event: event.name)
def test_a_claim_that_is_given_up_may_come_to_something_late(event: Event):
    """However carefully it is given up."""
    trace = explore(World(replace(GIVEN_UP, events=GIVEN_UP.events | {event})), one_run_at_a_time).trace

    tell(*trace)
    assert in_order(("A posts", "the person says that nothing more comes of claim A1", "X posts"), trace)


def test_of_two_runs_with_the_same_query_and_marks_one_takes_the_others_for_its_own():
    trace = explore(World(replace(BOTH_MARKS_SHARED, other_criteria=False)), deleted_is_true).trace

    tell(*trace)
    assert in_order(("A posts", "X looks, and finds bulk delete 1", "X sees that bulk delete 1 is done"), trace)


def test_a_copy_of_its_query_that_its_own_user_starts_is_taken_for_the_runs_own():
    trace = explore(World(Scenario(events=frozenset({Event.OUR_COPY}))), deleted_is_true).trace

    tell(*trace)
    gist = "A writes claim A1", "our user starts the query by hand, as bulk delete 1", "B records job = 1"
    assert in_order(gist, trace)


@pytest.mark.parametrize("module", ["protocol", "surroundings"])
def test_every_step_is_named_after_code_that_exists(module: str):
    """So that the model isn't left behind when the code moves on."""
    model = (HERE / f"{module}.py").read_text(encoding="utf-8")
    code = "".join(path.read_text(encoding="utf-8") for path in TASKS.rglob("*.py"))
    named = re.findall(r'^    """`(\w+)`', model, re.MULTILINE)

    assert named
    assert [name for name in named if f"def {name}(" not in code] == []


def in_order(gist: tuple[str, ...], trace: list[str]) -> bool:
    rest = iter(trace)
    return all(line in rest for line in gist)


def tell(*lines: str | None) -> None:
    print(*lines, sep="\n  ")  # noqa: T201 - what `pytest -rP` shows
