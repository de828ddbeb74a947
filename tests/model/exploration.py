"""What is promised of every world, and the search for one in which a promise is broken.

The search is breadth first: what it finds, it finds by the shortest way, and can tell in words.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from model.surroundings import moves
from model.world import DONE, RUNNING, THE_RUN, Event, Scenario, World

Promise = Callable[[World], bool]


@dataclass(frozen=True)
class Exploration:
    """The worlds that were reached, each with the one before it; and the first in which a promise is broken, if any."""

    before: dict[World, tuple[World, str] | None]
    broken: World | None = None

    @property
    def trace(self) -> list[str]:
        """How it came to the broken promise, in words. Empty if all promises are kept."""
        told: list[str] = []
        world = self.broken
        while world and (came := self.before[world]):
            world, words = came
            told.append(words)
        return told[::-1]


def explore(start: World, *promises: Promise) -> Exploration:
    """Everything that can follow from *start*, up to the first broken one of *promises*."""
    before: dict[World, tuple[World, str] | None] = {start: None}
    ahead = deque([start])
    while ahead:
        world = ahead.popleft()
        for words, after in moves(world):
            if after not in before:
                before[after] = world, words
                if not all(promise(after) for promise in promises):
                    return Exploration(before, broken=after)
                ahead.append(after)
    return Exploration(before)


# Promises


def one_bulk_delete_a_run(world: World) -> bool:
    """A run starts one bulk delete: however often it is tried, and even where a person lets it start again."""
    runs = [job.run for job in world.jobs if job.ours]
    return len(runs) == len(set(runs))


def one_more_for_each_permission(world: World) -> bool:
    """A run starts one bulk delete, and one more each time that a person lets it start again."""
    permitted = sum(process.outcome == "permitted" for process in world.processes)
    return sum(job.ours and job.run == THE_RUN for job in world.jobs) <= 1 + permitted


def one_run_at_a_time(world: World) -> bool:
    """While one run posts or deletes, no other run of the organisation does."""
    deleting = {job.run for job in world.jobs if job.ours and job.status == RUNNING}
    return len(deleting | {post.run for post in world.posts}) < 2


def deleted_is_true(world: World) -> bool:
    """A run reports ``deleted`` only if its own bulk delete is done, which has the query that is on record."""
    for process in world.processes:
        if process.deleted and process.job:
            job = world.job(process.job)
            recorded = {claim.query for claim in world.ledger if claim.run == process.run} or {job.query}
            if not (job.ours and job.run == process.run and job.status == DONE and job.query in recorded):
                return False
    return True


def strangers_are_no_trouble(world: World) -> bool:
    """A run ends ``unknown`` only if it has claimed something, or Close has something of it."""
    known = {claim.run for claim in world.ledger} | {job.run for job in world.jobs}
    return all(process.run in known for process in world.processes if process.outcome == "unknown")


def the_report_shows_what_was_done(world: World) -> bool:
    """The query in a report is that of the bulk delete."""
    reports = [process for process in world.processes if process.deleted]
    return all(world.job(report.job).query == report.query for report in reports if report.job)


def cancelled_starts_nothing(world: World) -> bool:
    """Of a cancelled run it isn't said that nothing was started, and then something is."""
    said = any(process.outcome == "nothing started" for process in world.processes)
    started = world.posts or any(job.run == THE_RUN for job in world.jobs)
    return not (said and world.cancelled and started)


def can_be_brought_to_its_end(world: World) -> bool:
    """With every process dead, and nothing going wrong any more, people can bring the run to its end.

    They retry it, and it ends ``deleted``. Or it ends ``unknown``; then Close has nothing of it, ``--start-again`` is
    permitted, and the next retry ends ``deleted``.
    """
    return _ends_well(world._replace(processes=()))


@cache
def _ends_well(world: World) -> bool:
    retried = _ends(world, _calm(world.scenario, "R"))
    unknown = [end for end, outcome in retried if outcome == "unknown"]
    permitted = [ended for end in unknown for ended in _ends(end, _calm(world.scenario, "", Event.STARTS_AGAIN))]
    last = [ended for end, _ in permitted for ended in _ends(end, _calm(world.scenario, "R"))]
    return (
        {outcome for _, outcome in retried} <= {"deleted", "unknown"}
        and not any(end.jobs for end in unknown)
        and {outcome for _, outcome in permitted} <= {"permitted"}
        and {outcome for _, outcome in last} <= {"deleted"}
    )


@cache
def _calm(scenario: Scenario, copies: str, *events: Event) -> Scenario:
    return replace(scenario, copies=copies, by_person=copies, rival="", events=frozenset(events), calm=True)


def _ends(world: World, scenario: Scenario) -> list[tuple[World, str]]:
    """How the only process of *scenario* can end, if it sets out from *world*."""
    reached = explore(world._replace(scenario=scenario, processes=())).before
    return [(each, each.processes[0].outcome) for each in reached if not any(moves(each))]
