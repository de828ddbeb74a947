"""Many organisations on one worker: the time against single runs, and the memory."""

import os
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any
from uuid import UUID

from bench.places import PREFECT, ROOT, serving
from bench.table import Row
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter
from support.close_account import ADMIN, CloseAccount, lead

from flows.lead_cleanup import lead_cleanup

ORGANIZATIONS = tuple(map(int, os.environ.get("BENCH_ORGANIZATIONS", "10,30").split(",")))
SLOTS = os.cpu_count() or 1
SINGLE_RUNS = 3
LEADS = 100
DELETING = 10.0  # seconds, of each organisation's bulk delete
POOL = "bench"


def rows() -> list[dict[str, Any]]:
    """The rows of this subject."""
    found: list[Row] = []
    with ExitStack() as stack:
        served = stack.enter_context(serving(max(ORGANIZATIONS)))
        prefect = stack.enter_context(get_client(sync_client=True))
        deployment = _deploy(prefect)
        worker = stack.enter_context(_worker())
        for close in served:
            close.add(*(lead(f"Other {number}") for number in range(10)))
        _run(prefect, deployment, served[:1])  # warm
        single = [_run_measured(prefect, deployment, served[:1], worker) for _ in range(SINGLE_RUNS)]
        alone, memory = (median(each) for each in zip(*single, strict=True))
        for number in ORGANIZATIONS:
            wall, peak = _run_measured(prefect, deployment, served[:number], worker)
            found += [
                Row(
                    what=f"{number} organisations on one worker with {SLOTS} slots",
                    value=wall,
                    unit="s",
                    against=f"{number} ÷ {SLOTS} single runs",
                    peer=alone * number / SLOTS,
                    aim=1.2,
                ),
                Row(
                    what=f"Memory of that worker and its runs for each of {SLOTS} organisations at once",
                    value=peak / SLOTS,
                    unit="MiB",
                    against="a worker with a single run",
                    peer=memory,
                    aim=1.2,
                ),
            ]
    return [row.model_dump() for row in found]


def _deploy(prefect: SyncPrefectClient) -> UUID:
    prefect.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    return prefect.create_deployment(
        flow_id=prefect.create_flow(lead_cleanup),
        name="bench",
        work_pool_name=POOL,
        entrypoint="flows/lead_cleanup.py:lead_cleanup",
        path=".",
        pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}],
        parameters={
            "match": {"status": ["Junk"]},
            "limits": {"max_leads": 1000, "max_share": 1.0, "ramp": False},
            "dry_run": False,
        },
    )


@contextmanager
def _worker() -> Generator[int]:
    """A process worker; yields its process's id."""
    command = (str(PREFECT), "worker", "start", "--pool", POOL, "--type", "process", "--limit", str(SLOTS))
    environment = {**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "2"}
    with (
        TemporaryDirectory() as folder,
        (Path(folder) / "log").open("wb") as log,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            yield process.pid
        finally:
            process.kill()  # at SIGTERM it waits for minutes, though no run is left


def _run_measured(
    prefect: SyncPrefectClient, deployment: UUID, served: Sequence[CloseAccount], worker: int
) -> tuple[float, float]:
    """The seconds until all are done, and the MiB that the worker and its runs have held at most."""
    peak, done = [0.0], Event()

    def watch() -> None:
        while not done.wait(0.5):
            peak[0] = max(peak[0], sum(map(_share, _family(worker))))

    watching = Thread(target=watch)
    watching.start()
    try:
        return _run(prefect, deployment, served), peak[0]
    finally:
        done.set()
        watching.join()


def _run(prefect: SyncPrefectClient, deployment: UUID, served: Sequence[CloseAccount]) -> float:
    for close in served:
        close.add(*(lead(f"Junk {number}", "Junk") for number in range(LEADS)))
        close.jobs(leads_per_second=LEADS / DELETING)
        close.limit_rates()
    began = time.monotonic()
    runs = [
        prefect.create_flow_run_from_deployment(
            deployment, job_variables={"env": {"CLOSE_API_URL": close.url, "CLOSE_API_KEY": ADMIN}}
        ).id
        for close in served
    ]
    wanted = FlowRunFilter.model_validate({"id": {"any_": runs}})
    while True:
        found = prefect.read_flow_runs(flow_run_filter=wanted)
        if all(each.state and each.state.is_final() for each in found):
            assert {each.state_name for each in found} == {"Deleted"}, {each.state_name for each in found}
            return time.monotonic() - began
        time.sleep(0.5)


def _family(pid: int) -> list[int]:
    """A process and all that come of it."""
    children = {int(pid): int(parent) for pid, parent in _parents()}
    found = [pid]
    for each in found:
        found += [child for child, parent in children.items() if parent == each]
    return found


def _parents() -> Generator[tuple[str, str]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                yield folder.name, (folder / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue  # it has ended


def _share(pid: int) -> float:
    """MiB, each page that processes share divided among them."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return int(text.partition("\nPss:")[2].split()[0]) / 1024
