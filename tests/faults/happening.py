"""What can go wrong, and where: the rows of the fault matrix, and how each is brought about."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from support.close_account import OTHER, CloseAccount
from support.proxy import Proxy, Spoil

LASTING = 100_000  # requests
OUTAGE = 300.0  # seconds of the clock that leaps, from the first wait in it: longer than the client's patience
TOO_LATE = 1.0  # seconds, for a client that waits WAITS
WAITS = "0.6"

SEARCH = "/data/search/"
BULK_DELETES = "/bulk_action/delete/"


@dataclass(frozen=True)
class Stage:
    """A step of a run, by the first request that it makes to Close."""

    name: str
    method: str
    path: str
    after: int = 0
    """How many like it come before, in the run that these tests make."""
    requests: int = 0
    """How many requests of any kind come before."""
    saying: bytes = b""
    """What the answer to the last of them says, where their number varies."""
    task: int = 0
    """Which task of the run, of those that talk to Close, makes it."""


STAGES = [
    Stage("resolve", "GET", "/status/lead/", requests=1, task=1),
    Stage("count", "POST", SEARCH, requests=3, task=2),
    Stage("sample", "POST", SEARCH, after=1, requests=4, task=2),
    Stage("list", "GET", BULK_DELETES, requests=6, task=3),
    Stage("last count", "POST", SEARCH, after=3, requests=7, task=3),
    Stage("POST", "POST", BULK_DELETES, requests=8, task=3),
    Stage("poll", "GET", f"{BULK_DELETES}bulkdelete_", requests=9, task=4),
    Stage("recount", "POST", SEARCH, after=4, requests=10, saying=b'"done"', task=5),
]


OFF = ("open_opportunities", "won_opportunities", "upcoming_meetings", "running_workflows")
PARAMETERS: dict[str, Any] = {
    "match": {"status": ["Junk"]},
    "keep": {**dict.fromkeys(OFF, False), "created_within_days": 0, "communication_within_days": 0},
    "limits": {"max_wait_minutes": 60},
    "dry_run": False,
    "backup": False,
}
"""Of the runs of the matrix: without keep rules, each step is the same number of requests. What goes wrong with a
backup goes wrong before anything is claimed: see tests/backup/test_make_backup.py."""

ONLY_READS = ("resolve", "count", "sample", "list", "last count", "recount")
TELLING = ("connection refused", "500 lasting", "missing field", "wrong organisation")
AT_POLL = {"connection refused", "500 lasting", "key revoked", "not allowed", "unknown status", "job gone"}
AT_POST = {
    *("connection refused", "time-out after the effect", "reset before the effect", "reset after the effect"),
    *("429 as a storm", "500 lasting", "truncated JSON", "missing field", "key revoked", "wrong organisation"),
}
AT_PREFECT = {"reply is lost", "write is refused"}


@dataclass
class World:
    """Everything that can go wrong, in the hands of a test."""

    close: CloseAccount
    close_front: Proxy
    prefect_front: Proxy
    monkeypatch: pytest.MonkeyPatch
    """For what is to be as before when all is well again."""

    def mend(self) -> None:
        """All is well again."""
        self.close.clear_faults()
        self.close_front.mend()
        self.prefect_front.mend()
        self.monkeypatch.undo()


@dataclass(frozen=True)
class Happening:
    """One row of the matrix."""

    stage: str
    fault: str
    bring_about: Callable[[World], None] = field(compare=False, repr=False)

    @property
    def telling(self) -> bool:
        """Whether it says more than others do: a request that only reads is tried again after each fault alike."""
        if "outage" in self.fault:
            return True
        if self.stage in ONLY_READS:
            return self.fault == TELLING[ONLY_READS.index(self.stage) % len(TELLING)]
        return self.fault in {"poll": AT_POLL, "POST": AT_POST}.get(self.stage, AT_PREFECT)

    @property
    def id(self) -> str:
        """What pytest calls it."""
        return f"{self.stage}: {self.fault}"


def at_close() -> Iterator[Happening]:
    """What Close, the network and the key can do to each request."""
    for stage in STAGES:
        yield Happening(stage.name, "connection refused", _refused(stage))
        for fault, order in FAULTS.items():
            yield Happening(stage.name, fault, _ordered(stage, order))
        yield Happening(stage.name, "wrong organisation", _other_key(stage))
        yield Happening(stage.name, "an outage longer than patience", _outage(stage))
    poll = next(stage for stage in STAGES if stage.name == "poll")
    for fault, order in POLL_FAULTS.items():
        yield Happening(poll.name, fault, _ordered(poll, order))
    yield Happening("POST", "reply is lost in such an outage", _reply_lost_in_an_outage)


FAULTS: dict[str, dict[str, Any]] = {
    "time-out before the effect": {"fault": "drop_before", "seconds": TOO_LATE},
    "time-out after the effect": {"fault": "delay", "seconds": TOO_LATE},
    "reset before the effect": {"fault": "drop_before"},
    "reset after the effect": {"fault": "drop_after"},
    "429 once": {"fault": "rate_limit", "seconds": 0.01},
    "429 as a storm": {"fault": "rate_limit", "seconds": 0.01, "times": LASTING},
    **{f"{status} once": {"fault": "status", "status": status} for status in (500, 502, 503, 504)},
    **{f"{status} lasting": {"fault": "status", "status": status, "times": LASTING} for status in (500, 502, 503, 504)},
    "HTML instead of JSON": {"fault": "garbage"},
    "HTML lasting": {"fault": "garbage", "times": LASTING},
    "truncated JSON": {"fault": "truncate"},
    "missing field": {"fault": "edit", "omit": ["id", "data", "status", "n_leads", "n_objects"], "times": LASTING},
    "key revoked": {"fault": "status", "status": 401, "times": LASTING},
}
POLL_FAULTS: dict[str, dict[str, Any]] = {
    "unknown status": {"fault": "edit", "fields": {"status": "archived"}, "times": LASTING},
    "job gone": {"fault": "status", "status": 404, "times": LASTING},
    "not allowed": {"fault": "status", "status": 403, "times": LASTING},
}


def _ordered(stage: Stage, order: dict[str, Any]) -> Callable[[World], None]:
    def bring_about(world: World) -> None:
        if order.get("seconds") == TOO_LATE:
            world.monkeypatch.setenv("CLOSE_TIMEOUT", WAITS)
        world.close.fault(stage.method, stage.path, after=stage.after, **order)

    return bring_about


def _refused(stage: Stage) -> Callable[[World], None]:
    def bring_about(world: World) -> None:
        world.close_front.shut_after(stage.requests, stage.saying)

    return bring_about


def _outage(stage: Stage) -> Callable[[World], None]:
    """Close refuses connections for longer than the client's patience; Prefect's retries have no delays."""

    def bring_about(world: World) -> None:
        world.close_front.shut_after(stage.requests, stage.saying)
        _ends_by_itself(world, lambda: world.close_front.is_shut)

    return bring_about


def _reply_lost_in_an_outage(world: World) -> None:
    """The bulk delete was accepted; from then on Close doesn't list any, for longer than a run looks for its own."""
    world.close.fault("POST", BULK_DELETES, "drop_after")
    world.close.fault("GET", BULK_DELETES, "status", after=1, times=LASTING, status=503)
    _ends_by_itself(world, lambda: True)


def _ends_by_itself(world: World, is_under_way: Callable[[], bool]) -> None:
    """Let all be well again once the run has waited for so long."""
    from tasks.runs import connect

    world.monkeypatch.setenv("CLOSE_RETRY_DELAYS", "0,0,0,0")
    sleep, left = connect.sleep, OUTAGE

    def sleep_in_the_outage(seconds: float) -> None:
        nonlocal left
        sleep(seconds)
        if is_under_way():
            left -= seconds
            if left <= 0:
                world.close.clear_faults()
                world.close_front.mend()

    world.monkeypatch.setattr("tasks.runs.connect.sleep", sleep_in_the_outage)


def _other_key(stage: Stage) -> Callable[[World], None]:
    """From this task on, the settings hold the key of another organisation."""

    def bring_about(world: World) -> None:
        from tasks.close.settings import CloseSettings

        asked = 0

        def changed() -> CloseSettings:
            nonlocal asked
            asked += 1
            if asked >= stage.task:
                world.monkeypatch.setenv("CLOSE_API_KEY", OTHER)
            return CloseSettings()

        world.monkeypatch.setattr("tasks.runs.connect.CloseSettings", changed)

    return bring_about


def at_prefect() -> Iterator[Happening]:
    """What the Prefect server can do to what we write there."""
    writes = {
        "claim": "POST /api/variables/ ",
        "record the id": "PATCH /api/variables/",
        "publish the plan": "POST /api/artifacts/ ",
    }
    spoils: dict[str, tuple[Spoil, int]] = {
        "write fails": ("error", LASTING),
        "write fails once": ("error", 1),
        "write is lost": ("drop_before", 1),
        "reply is lost": ("drop_after", 1),
    }
    for stage, request in writes.items():
        for fault, (spoil, times) in spoils.items():
            yield Happening(stage, fault, _prefect(request, spoil, times))
    yield Happening("record the id", "write is refused", _prefect("PATCH /api/variables/", "forbid", LASTING))
    yield Happening("label the run", "write fails", _prefect("PATCH /api/flow_runs/", "error", LASTING))
    after_the_plan = 2  # artifacts: its table and its JSON
    yield Happening("publish", "write fails", _prefect("POST /api/artifacts/ ", "error", LASTING, after_the_plan))


def _prefect(request: str, spoil: Spoil, times: int, after: int = 0) -> Callable[[World], None]:
    return lambda world: world.prefect_front.trouble(request, spoil, times, after)


PROCESS_FAULTS = (
    "kill -9 of the flow",
    "SIGTERM of the flow",
    "SIGTERM of the worker",
    "restart of the Prefect server",
    "suspended by a person, then resumed",
)
BEFORE, AFTER = "POST, before its effect", "POST, after its effect"
POINTS = [
    replaced
    for stage in STAGES
    for replaced in ([replace(stage, name=BEFORE), replace(stage, name=AFTER)] if stage.name == "POST" else [stage])
]
"""Where a process meets its end."""

TERMINAL_FAULTS = ("hang-up of the terminal", "lost console")
"""What happens to `lead-cleanup run`, which no worker watches, at the same points."""
HELD = 25  # seconds; a client waits thirty


def hold(close: CloseAccount, point: Stage, seconds: float = HELD) -> Callable[[], bool]:
    """Let the request by which *point* is known wait for its answer; return a question: does it wait now?"""

    def asked() -> int:
        return sum(each["method"] == point.method and each["path"].startswith(point.path) for each in close.requests())

    before = asked()
    how = "delay" if point.name == AFTER else "drop_before"
    close.fault(point.method, point.path, how, after=point.after, seconds=seconds)
    return lambda: asked() - before > point.after


def rows() -> list[tuple[str, str]]:
    """Every row of the matrix, in its order."""
    requests = [(each.stage, each.fault) for each in (*at_close(), *at_prefect())]
    return [
        *requests,
        *((point.name, fault) for faults in (PROCESS_FAULTS, TERMINAL_FAULTS) for point in POINTS for fault in faults),
    ]
