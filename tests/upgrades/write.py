"""Writes what the installed version leaves behind, for the versions after it: ``pytest tests/upgrades/write.py``.

No run of the tests collects this file. Before a release changes what is stored, run it once with the release before it;
its folder, such as ``written_by_0_1``, is committed and never written again. The tests of that folder name the releases
that must go on with what it holds.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.client.orchestration import get_client
from support.close_account import ADMIN, LONG_AGO, CloseAccount, lead
from upgrades.conftest import Command, attempt, state_of
from upgrades.kept import BULK_DELETE, Json, keep

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger")]

CHECKOUT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / f"written_by_{'_'.join(version('close-lead-cleanup').split('.')[:2])}"
JUNK = ("run", "--match.status", "Junk", "--no-dry-run", "--limits.max-share", "1", "--json")
PARAMETERS: Json = {"match": {"status": ["Junk"]}, "limits": {"max_share": 1.0}, "dry_run": False}
LEADS = [
    lead(name, status, id=f"lead_{name.split(maxsplit=1)[0].lower():0<43}")
    for name, status in (
        *(("Acme Anvils", "Junk"), ("Bolt Works", "Junk"), ("Crank & Sons", "Junk")),
        *(("Dynamo Ltd", "Potential"), ("Elm Furniture", "Potential")),
    )
]
ATTEMPT = """
import sys
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from flows.lead_cleanup import lead_cleanup
with get_client(sync_client=True) as prefect:
    run = prefect.read_flow_run(sys.argv[1])
run_flow(lead_cleanup, flow_run=run, parameters=run.parameters, return_type="state")
"""

Write = Callable[..., None]


@pytest.fixture(autouse=True)
def ann(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is at the terminal."""
    monkeypatch.setenv("LOGNAME", "ann")


@pytest.fixture
def backups(monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """A folder whose name is the same in markdown, so that it is found there as well."""
    folder = Path(tempfile.gettempdir()) / f"backups{uuid4().hex}"
    monkeypatch.setenv("CLOSE_BACKUP_URL", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def nobody_holds_the_turn(prefect_server: str) -> None:
    """A run that is killed keeps it, and no server of tests has the service that gives it back a minute later."""
    with get_client(sync_client=True) as prefect:
        for each in prefect.read_global_concurrency_limits():
            prefect.delete_global_concurrency_limit_by_name(each.name)


@pytest.fixture
def close(sandbox: CloseAccount) -> CloseAccount:
    """Three leads to delete among five."""
    sandbox.add(*LEADS)
    return sandbox


@pytest.fixture
def write(close: CloseAccount, backups: Path) -> Write:
    """Keeps how these runs stand."""

    def write(name: str, *runs: str, leads: list[Json] = LEADS) -> None:
        keep(FOLDER / name, runs, leads, close, backups)

    return write


def deployed(name: str, **parameters: Any) -> str:
    """The id of a run of this deployment, of which nobody has made an attempt yet."""
    from flows.lead_cleanup import lead_cleanup

    with get_client(sync_client=True) as prefect:
        deployment = prefect.create_deployment(prefect.create_flow(lead_cleanup), f"junk-{name}")
        given = {**PARAMETERS, **parameters}
        run = prefect.create_flow_run_from_deployment(deployment, parameters=given, tags=["lead-cleanup"])
        return str(run.id)


@contextmanager
def process(close: CloseAccount, server: str, backups: Path, *words: str) -> Generator["subprocess.Popen[str]"]:
    """Python with these words, in a process of its own, which is killed at the end of the block."""
    settings = {"CLOSE_API_URL": close.url, "CLOSE_API_KEY": ADMIN, "CLOSE_BACKUP_URL": str(backups)}
    with subprocess.Popen(
        [sys.executable, *words],
        cwd=CHECKOUT,
        env={**os.environ, **settings, "PREFECT_API_URL": server},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def wait_until(true: Callable[[], object], running: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def record(run_id: str) -> Json | None:
    with get_client(sync_client=True) as prefect:
        found = prefect.read_variable_by_name(f"lead_cleanup_run_{run_id}")
    return found.value if found else None  # pyright: ignore[reportReturnType]


def only_run() -> str:
    """The id of the run that has claimed."""
    with get_client(sync_client=True) as prefect:
        [found] = [each.name for each in prefect.read_variables() if each.name.startswith("lead_cleanup_run_")]
    return found.removeprefix("lead_cleanup_run_")


def progress(close: CloseAccount) -> int:
    return sum(each["n_leads_processed"] or 0 for each in close.get(BULK_DELETE)["data"])


def unknown(call: Command, close: CloseAccount, *more: str) -> str:
    """The id of a run whose POST was lost on its way."""
    close.fault("POST", BULK_DELETE, "drop_before")
    said = call(*JUNK, *more)
    assert said.json["outcome"] == "unknown"
    close.clear_faults()
    return str(said.json["flow_run_id"])


# --- Runs that have not come to their end -----------------------------------------------------------------------------


def test_suspended(write: Write) -> None:
    run = deployed("suspended", approval="always")
    attempt(run)
    assert state_of(run) == "Suspended"
    write("suspended", run)


def test_approved(write: Write, call: Command) -> None:
    run = deployed("approved", approval="always")
    attempt(run)
    assert call("approve", run, "--leads", "3", "--by", "Ann", "--note", "As agreed on Monday.").code == 0
    write("approved", run)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("claimed_and_started", {"fault": "delay", "seconds": 5}),
        ("claimed_and_not_started", {"fault": "drop_before", "seconds": 5}),
    ],
)
def test_claimed(
    write: Write, close: CloseAccount, prefect_server: str, backups: Path, name: str, fault: dict[str, Any]
) -> None:
    """Killed while Close's answer is waited for."""
    run = deployed(name.replace("_", "-"))
    close.fault("POST", BULK_DELETE, **fault)
    with process(close, prefect_server, backups, "-c", ATTEMPT, run) as running:
        wait_until(lambda: record(run), running)
        if fault["fault"] == "delay":
            wait_until(lambda: progress(close) == 3, running)
        else:
            time.sleep(1)
    found = record(run)
    assert found
    assert (found["bulk_delete_id"], found["ended"], state_of(run)) == (None, None, "Running")
    write(name, run)


def test_waiting(write: Write, close: CloseAccount, prefect_server: str, backups: Path) -> None:
    """Killed while Close deletes."""
    run = deployed("waiting")
    close.jobs(leads_per_second=0.5)
    with process(close, prefect_server, backups, "-c", ATTEMPT, run) as running:
        wait_until(lambda: progress(close) == 1, running)
    assert (record(run) or {})["bulk_delete_id"]
    write("waiting", run)


def cancelled(close: CloseAccount, server: str, backups: Path, *more: str) -> str:
    """The id of a run that somebody has stopped with Ctrl-C; Close has paused its bulk delete."""
    close.jobs(leads_per_second=0.5)
    with process(close, server, backups, "-m", "flows", *JUNK, *more) as running:
        wait_until(lambda: progress(close) == 1, running)
        wait_until(lambda: (record(only_run()) or {})["bulk_delete_id"], running)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, json.loads(out)["outcome"]) == (6, "cancelled"), err
    assert close.get(BULK_DELETE)["data"][0]["status"] == "paused"
    return only_run()


def test_cancelled(write: Write, close: CloseAccount, prefect_server: str, backups: Path) -> None:
    write("cancelled", cancelled(close, prefect_server, backups))


def test_given_up_while_paused(
    write: Write, call: Command, close: CloseAccount, prefect_server: str, backups: Path
) -> None:
    run = cancelled(close, prefect_server, backups, "--no-backup")
    assert call("ledger", "--give-up", run).code == 0
    write("given_up_while_paused", run)


@pytest.mark.usefixtures("fake_clock")
def test_unknown(write: Write, call: Command, close: CloseAccount) -> None:
    write("unknown", unknown(call, close, "--no-backup"))


@pytest.mark.usefixtures("fake_clock")
def test_given_up(write: Write, call: Command, close: CloseAccount) -> None:
    run = unknown(call, close, "--no-backup")
    assert call("ledger", "--give-up", run).code == 0
    write("given_up", run)


@pytest.mark.usefixtures("fake_clock")
def test_permitted(write: Write, call: Command, close: CloseAccount) -> None:
    """Approved, lost on its way, and allowed to start again; no worker has taken it up yet."""
    run = deployed("permitted", approval="above 2")
    attempt(run)
    assert call("approve", run, "--leads", "3", "--by", "Ann").code == 0
    close.fault("POST", BULK_DELETE, "drop_before")
    attempt(run)
    close.clear_faults()
    assert state_of(run) == "Unknown"
    assert call("resume", run, "--start-again").code == 0
    assert (record(run) or {})["permission"]
    write("permitted", run)


def test_refused(write: Write, call: Command, close: CloseAccount) -> None:
    """Close has said no to the POST: nothing was started, and the run may claim once more."""
    close.fault("POST", BULK_DELETE, "status", status=403)
    said = call(*JUNK)
    assert said.json["outcome"] == "refused"
    write("refused", said.json["flow_run_id"])


# --- What has ended, and what stands ----------------------------------------------------------------------------------


def test_finished(write: Write, call: Command) -> None:
    said = call(*JUNK)
    assert said.json["outcome"] == "deleted"
    write("finished", said.json["flow_run_id"])


def test_stopped(write: Write, call: Command) -> None:
    assert call("stop", "importing until Friday").code == 0
    write("stopped")


def everything(name: str) -> Json:
    """A lead with something of each kind that can come back."""
    contact = f"cont_{name.split(maxsplit=1)[0].lower():0<43}"
    return lead(
        name,
        "Junk",
        id=f"lead_{name.split(maxsplit=1)[0].lower():0<43}",
        contacts=[
            {"id": contact, "name": "Ann Anvil", "emails": [{"email": "ann@acme.example", "type": "office"}]},
        ],
        opportunities=[{"status_type": "lost", "note": "Too heavy", "date_created": LONG_AGO}],
        tasks=[{"text": "Call back", "date": "2030-05-06", "date_created": LONG_AGO}],
        activities=[
            {"_type": kind, "note": note, "date_created": LONG_AGO, "activity_at": LONG_AGO}
            for kind, note in (("Note", "Asked for prices."), ("Note", "Asked again."), ("Call", "Spoke."))
        ],
    )


def test_restored_by_half(call: Command, sandbox: CloseAccount, prefect_server: str, backups: Path) -> None:
    """A restore of two leads was killed as it waited for Close's answer to the second lead's second note."""
    sandbox.add(*(everything(name) for name in ("Acme Anvils", "Bolt Works")), *LEADS[3:])
    run = str(call(*JUNK).json["flow_run_id"])
    sandbox.fault("POST", "/activity/note/", "delay", after=3, seconds=5)
    with process(sandbox, prefect_server, backups, "-m", "flows", "restore", run, "--no-dry-run") as running:
        wait_until(lambda: len(sandbox.leads()) == 4 and _notes(sandbox) == 4, running)
    keep(FOLDER / "restored_by_half", [run], _exported(sandbox), sandbox, backups)
    _without_jobs(FOLDER / "restored_by_half")


def test_restored(call: Command, sandbox: CloseAccount, backups: Path) -> None:
    sandbox.add(everything("Acme Anvils"), *LEADS[1:])
    run = str(call(*JUNK).json["flow_run_id"])
    restored = call("restore", run, "--no-dry-run", "--json")
    assert restored.json["outcome"] == "restored"
    keep(FOLDER / "restored", [run, restored.json["flow_run_id"]], _exported(sandbox), sandbox, backups)
    _without_jobs(FOLDER / "restored")


def _notes(sandbox: CloseAccount) -> int:
    return len(sandbox.get("/activity/note/")["data"])


def _exported(sandbox: CloseAccount) -> list[Json]:
    """The leads as Close exports them, which the sandbox takes as well."""
    job = sandbox.post("/export/lead/", format="json", type="leads", include_activities=True, send_done_email=False)
    while job["status"] != "done":
        time.sleep(0.02)
        job = sandbox.get(f"/export/{job['id']}/")
    found: list[Json] = httpx.get(job["download_url"]).raise_for_status().json()
    return found


def _without_jobs(folder: Path) -> None:
    """The bulk delete is over and its leads are made anew: it must not be played once more."""
    close = json.loads((folder / "close.json").read_text())
    (folder / "close.json").write_text(json.dumps({**close, "jobs": []}, indent=2, ensure_ascii=False) + "\n")
