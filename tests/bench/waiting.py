"""Waiting for bulk deletes: how soon the end is noticed, for how many questions, and for how much of the CPU."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier
from typing import Any, NamedTuple

import httpx
from bench.child import child
from bench.places import Served, instant, serving, use, without_heartbeats
from bench.table import Row
from prefect import flow
from support.close_account import ADMIN, CloseAccount, lead

from tasks.bulk_delete.wait import wait
from tasks.runs.connect import connect, read_settings

LASTING = (2.3, 5.7, 11.9, 23.1, 61.3)
"""Seconds that the bulk deletes take. None is near a multiple of ten, where polling every 10 s would look its best."""
AT_ONCE = 100
AT_ONCE_LAST = 60  # seconds
APART = 0.3  # seconds; a Prefect server on SQLite answers 503 when a hundred runs begin at once
STARTED_WITHIN = 300  # seconds
LEADS = 20  # of each bulk delete
PATIENCE = timedelta(hours=1)
Wait = Callable[[str], int]
"""Waits for the bulk delete with this id. Returns how often it asked."""


class Watched(NamedTuple):
    """A wait: how late it ended (seconds), and how often it asked."""

    late: float
    asked: int


def rows() -> list[dict[str, Any]]:
    """The rows of this subject."""
    with serving() as [close]:
        found = [*_polling(close), *_at_once(close)]
    return [row.model_dump() for row in found]


def _polling(close: CloseAccount) -> list[Row]:
    use(close)
    close.reset()
    jobs = [_start(close, f"Word{number}", seconds) for number, seconds in enumerate(LASTING)]
    waits: dict[str, Wait] = {"ours": ours, "1 s": each_second, "10 s": each_ten_seconds}
    with ThreadPoolExecutor(len(jobs) * len(waits)) as pool:
        watching = {name: [pool.submit(_watched, close, way, job) for job in jobs] for name, way in waits.items()}
        watched = {name: [each.result() for each in found] for name, found in watching.items()}
    late = {name: sum(each.late for each in found) / len(found) for name, found in watched.items()}
    asked = {name: sum(each.asked for each in found) for name, found in watched.items()}
    lasting = f"{len(LASTING)} bulk deletes of {min(LASTING):.0f} to {max(LASTING):.0f} s"
    return [
        Row(
            what=f"Polls of {lasting}",
            value=asked["ours"],
            unit="polls",
            against="polling every 1 s",
            peer=asked["1 s"],
            aim=1,
        ),
        Row(
            what=f"Polls of {lasting}",
            value=asked["ours"],
            unit="polls",
            against="polling every 10 s",
            peer=asked["10 s"],
        ),
        Row(
            what=f"Seconds until the end is noticed, mean of {lasting}",
            value=late["ours"],
            unit="s",
            against="polling every 1 s",
            peer=late["1 s"],
        ),
        Row(
            what=f"Seconds until the end is noticed, mean of {lasting}",
            value=late["ours"],
            unit="s",
            against="polling every 10 s",
            peer=late["10 s"],
            aim=1,
        ),
    ]


def _start(close: CloseAccount, word: str, seconds: float) -> str:
    """Start a bulk delete that lasts so long. Returns its id."""
    close.add(*(lead(word) for _ in range(LEADS)))
    close.jobs(leads_per_second=LEADS / seconds, created_seconds=0, loading_seconds=0)
    name = {"type": "regular_field", "object_type": "lead", "field_name": "name"}
    condition = {"type": "text", "mode": "full_words", "value": word}
    leads = {"type": "object_type", "object_type": "lead"}
    queries = [leads, {"type": "field_condition", "field": name, "condition": condition}]
    query = {"type": "and", "queries": queries}
    return str(close.post("/bulk_action/delete/", s_query=query, send_done_email=False)["id"])


def _watched(close: CloseAccount, wait_for: Wait, job: str) -> Watched:
    asked = wait_for(job)
    noticed = time.time()
    return Watched(noticed - instant(close.get(f"/bulk_action/delete/{job}/")["date_updated"]), asked)


def ours(job: str) -> int:
    """As a cleanup waits."""
    with connect() as close:
        return wait(close, job, PATIENCE, lambda _: None).polls


def each_second(job: str) -> int:
    """As a simple script waits."""
    return _fixed(job, 1)


def each_ten_seconds(job: str) -> int:
    """As some of Prefect's own integrations wait."""
    return _fixed(job, 10)


def _fixed(job: str, seconds: float) -> int:
    asked = 0
    with httpx.Client(base_url=read_settings().api_url, auth=(ADMIN, ""), timeout=30) as client:
        while True:
            asked += 1
            if client.get(f"bulk_action/delete/{job}/").raise_for_status().json()["status"] in ("done", "error"):
                return asked
            time.sleep(seconds)


def _at_once(close: CloseAccount) -> list[Row]:
    """The CPU that a process takes in which so many flows wait, each for a bulk delete."""
    taken: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        for name in ("ours", "each_second"):
            close.reset()
            taken[name] = child("bench.waiting:cpu_of", name, close.url, close.base, log=Path(folder) / "log")
    return [
        Row(
            what=f"CPU of {AT_ONCE} flows in a process, each waiting {AT_ONCE_LAST} s for a bulk delete",
            value=taken["ours"],
            unit="s",
            against="the same flows, polling every 1 s",
            peer=taken["each_second"],
            aim=1,
        )
    ]


def cpu_of(name: str, url: str, base: str) -> float:
    """CPU seconds of this process from the first wait to the last; neither flows' beginnings nor their ends count."""
    wait_for: Wait = {"ours": ours, "each_second": each_second}[name]
    close = CloseAccount(Served(url, base))
    jobs: list[str] = []
    begin, end = (Barrier(AT_ONCE + 1, timeout=STARTED_WITHIN) for _ in range(2))

    @flow(name="waiting", persist_result=False)
    def waiting(number: int) -> None:
        begin.wait()
        wait_for(jobs[number])
        end.wait()

    def run(number: int) -> None:
        with without_heartbeats():
            waiting(number)

    use(close)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(AT_ONCE):
            pool.submit(run, number)
            time.sleep(APART)
        jobs += [_start(close, f"Word{number}", AT_ONCE_LAST) for number in range(AT_ONCE)]
        begin.wait()
        began = time.process_time()
        end.wait()
        return time.process_time() - began
