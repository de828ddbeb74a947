"""The world of the model, as one frozen value: what stands in the ledger, what is at Close, and who is at work.

The words are those of the code. A `Claim` is a record of `tasks.ledger.store`, a `Job` one of Close's bulk deletes. A
`Process` is whoever takes steps: a copy of a run (which may be executed twice at once, and is tried again), the hook of
a cancellation, or a person at the command line.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

REFUSED, GIVEN_UP, DONE = "refused", "given up", "done"
RUNNING, PAUSED = "running", "paused"
OUR_USER, ANOTHER_USER = "our user", "another user"
BY_HAND = "by hand"
NOTHING_SEEN: frozenset[int] = frozenset()

THE_RUN, ANOTHER_RUN = 1, 2
"""Two runs of one organisation. All accidents, and all that people do, happen to the first."""


class Guard(StrEnum):
    """What keeps the protocol safe. Each can be left out, to see what it is there for."""

    CLAIM = "a run writes its claim before it posts"
    NONCE = "a copy knows its own claim by the nonce"
    RECORD_FIRST = "an attempt reads its record before anything else"
    RECORDED_QUERY = "an attempt that finds a record uses the recorded query"
    LOOK_BEFORE = "a run looks in Close before it claims"
    LOOK_AFTER = "a run looks in Close where it isn't certain what came of its claim"
    MARK = "a bulk delete is adopted only if it has the run's marks"
    BOTH_MARKS = "a bulk delete that has one of a run's two marks is a stranger's"
    QUERY = "a bulk delete is adopted only if it has the run's query"
    AUTHOR = "a bulk delete is adopted only if our user started it"
    ONE_POST = "a POST is never sent again when its answer is lost"
    YOUNG_CLAIM = "a run posts only while its claim is young"
    NOT_CANCELLED = "a run reads after its claim whether it is cancelled"
    OTHER_RUNS = "a run reads after its claim what other runs have claimed"
    SETTLED = "another run's claim is settled only by a bulk delete that agrees with it in everything"
    KEPT_RECORD = "an attempt that fails leaves its record where it is"
    PATIENCE = "a person lets a run start again only when its claim is old"
    CLAIMED_PLAN = "a copy that meets another's claim goes on with it only if both planned the same"
    CARE = "a person gives up a claim only when it is old, and Close shows nothing of it under way"


class Event(StrEnum):
    """What happens only where a scenario says that it may. Answers that get lost and a list that lags always may."""

    RENAMED = "the labels in the criteria are renamed: a query built now is another one"
    CANCELS = "a person cancels the run"
    STARTS_AGAIN = "a person lets the run start again"
    GIVES_UP = "a person gives up the run's claim"
    THEIR_COPY = "another user starts the run's own query by hand"
    OUR_COPY = "our user starts the run's own query by hand"
    CHANGED_COPY = "our user starts by hand what they have changed in the run's own query"
    LOST_IN_PEACE = "the ledger is lost while no copy is starting and Close's list shows everything"
    LEDGER_LOST = "the ledger is lost"
    LATE_POST = "a POST reaches Close after the settling time"
    LONG_LAG = "Close's list hides a bulk delete for longer than the settling time"


@dataclass(frozen=True, eq=False)
class Scenario:
    """Who takes part, and what may happen."""

    copies: str = "AB"
    """The copies of the run, in the order in which they begin: at any time, so also after one has crashed."""
    by_person: str = ""
    """Those of them that a person asks for."""
    rival: str = ""
    """The copies of another run."""
    shared_marks: int = 0
    """How many of its two marks the other run has in common with the run: marks are values, and may collide."""
    other_criteria: bool = False
    """Whether the other run has other criteria."""
    events: frozenset[Event] = frozenset()
    without: frozenset[Guard] = frozenset()
    calm: bool = False
    """Whether nothing goes wrong any more."""

    def may(self, event: Event) -> bool:
        return event in self.events

    def has(self, guard: Guard) -> bool:
        return guard not in self.without


class Claim(NamedTuple):
    """A record in the ledger, with the fields of `tasks.ledger.record` that steer anything."""

    run: int
    number: int
    nonce: str
    query: int
    job: int | None = None
    ended: str = ""
    permission: bool = False
    restarted_by: bool = False
    cancelled: bool = False

    @property
    def may_plan_again(self) -> bool:
        return self.ended == REFUSED and not self.restarted_by

    @property
    def unused_permission(self) -> bool:
        return not self.job and (self.permission or (self.restarted_by and self.ended == REFUSED))


class Post(NamedTuple):
    """A POST on its way to Close."""

    run: int
    query: int
    nonce: str
    sender: str


class Job(NamedTuple):
    """A bulk delete. Close repeats its query: in it are the marks of the run, the criteria and what labels meant."""

    id: int
    run: int
    """Who started it, which nobody sees."""
    marks: tuple[int, int]
    query: int
    nonce: str
    author: str = OUR_USER
    status: str = RUNNING
    shown: bool = False

    @property
    def ours(self) -> bool:
        return self.nonce != BY_HAND


class Process(NamedTuple):
    """Whoever takes steps: what it does next, and what it remembers. Over when there is no next step."""

    name: str
    run: int
    step: "Step | None"
    by_person: bool = False
    query: int = 0
    """What it has planned, or its record says; in the end, what its report shows."""
    claim: Claim | None = None
    """The record that it has read first; then its own claim, or the one that it has met."""
    job: int | None = None
    seen: frozenset[int] = NOTHING_SEEN
    """The bulk deletes that were done when it looked."""
    updated: Claim | None = None
    """The record that it is adding to."""
    facts: tuple[tuple[str, object], ...] = ()
    """What it adds."""
    then: "Step | None" = None
    """What it does when that is recorded."""
    outcome: str = ""

    @property
    def deleted(self) -> bool:
        """Whether it has reported ``deleted``."""
        return self.step is None and self.outcome == "deleted"


class World(NamedTuple):
    """Everything there is. Equal worlds have equal futures."""

    scenario: Scenario
    processes: tuple[Process, ...] = ()
    ledger: tuple[Claim, ...] = ()
    posts: tuple[Post, ...] = ()
    jobs: tuple[Job, ...] = ()
    old: frozenset[str] = frozenset()
    """The nonces of claims whose settling time is over. The others are young."""
    labels: int = 1
    """What the labels in the criteria mean now."""
    cancelled: bool = False
    """Whether the run is cancelled, to Prefect."""
    past: frozenset[Event] = frozenset()
    """What happens once, and has."""

    def process(self, name: str) -> Process | None:
        return next((each for each in self.processes if each.name == name), None)

    def put(self, process: Process) -> "World":
        others = [each for each in self.processes if each.name != process.name]
        return self._replace(processes=tuple(sorted((*others, process))))

    def marks(self, run: int) -> tuple[int, int]:
        """The marks that this run's query carries."""
        shared = self.scenario.shared_marks
        return (1, 1) if run == THE_RUN else (1 if shared > 0 else 2, 1 if shared > 1 else 2)

    def query(self, run: int) -> int:
        """What this run's criteria mean now."""
        return self.labels + 10 * (run != THE_RUN and self.scenario.other_criteria)

    def standing(self, run: int, number: int) -> Claim | None:
        return next((each for each in self.ledger if (each.run, each.number) == (run, number)), None)

    def latest(self, run: int) -> Claim | None:
        """As `ledger.read`: one claim after the other, until there is none of the next number."""
        found: Claim | None = None
        while claim := self.standing(run, found.number + 1 if found else 1):
            found = claim
        return found

    def write(self, claim: Claim) -> "World":
        ledger = (*self.erase(claim.run, claim.number).ledger, claim)
        return self._replace(ledger=tuple(sorted(ledger, key=lambda each: (each.run, each.number))))

    def erase(self, run: int, number: int) -> "World":
        return self._replace(ledger=tuple(each for each in self.ledger if (each.run, each.number) != (run, number)))

    def without_post(self, post: Post) -> "World":
        posts = list(self.posts)
        posts.remove(post)
        return self._replace(posts=tuple(posts))

    def job(self, number: int) -> Job:
        return self.jobs[number - 1]

    def add(self, job: Job) -> "World":
        return self._replace(jobs=(*self.jobs, job))

    def change(self, number: int, **changes: object) -> "World":
        """The world in which a bulk delete has changed."""
        return self._replace(jobs=tuple(each._replace(**changes) if each.id == number else each for each in self.jobs))

    def aged(self, nonce: str) -> "World | None":
        """The world in which this claim is old, unless that can't be yet.

        The settling time is made so long that after it whatever was posted in time has arrived, and shows. Whether it
        is over is decided when somebody wants to know: nobody else could tell.
        """
        awaited = not self.scenario.may(Event.LATE_POST) and any(post.nonce == nonce for post in self.posts)
        hidden = not self.scenario.may(Event.LONG_LAG) and any(not job.shown for job in self.jobs if job.nonce == nonce)
        return None if awaited or hidden else self._replace(old=self.old | {nonce})


Move = tuple[str, World]
"""What happens, in words, and the world after it."""
Step = Callable[[World, Process], Iterator[Move]]
