"""The sandbox as a program: it starts, makes up an organisation, keeps it if asked to, and stops without a trace."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import httpx
import pytest

from deployments.sandbox.server import PortInUse, Sandbox
from deployments.sandbox.switches.behaviour import Behaviour
from deployments.sandbox.switches.faults import FaultName
from deployments.sandbox.switches.jobs import JobSettings
from flows.cli import call

ADMIN = ("api_sandbox.admin", "")
ROOT = Path(__file__).parent.parent.parent
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def total(sandbox: Sandbox) -> int:
    return httpx.get(f"{sandbox.url}lead/", auth=ADMIN).json()["total_results"]


def test_it_stops_without_leaving_threads_or_files() -> None:
    before = threading.enumerate()

    with Sandbox(leads=5) as sandbox:
        folder = sandbox.state.main.store.path.parent
        assert httpx.get(f"{sandbox.base}/healthz").status_code == 200

    assert threading.enumerate() == before
    assert not folder.exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{sandbox.base}/healthz")


def test_the_same_seed_gives_the_same_organisation() -> None:
    def names(seed: int) -> list[object]:
        with Sandbox(leads=50, seed=seed, now=NOW) as sandbox:
            return httpx.get(f"{sandbox.url}lead/", params={"_limit": 100}, auth=ADMIN).json()["data"]

    first = names(7)
    assert first == names(7)
    assert first != names(8)


def test_an_organisation_of_another_name_is_another_one_everywhere() -> None:
    def ids(name: str) -> set[str]:
        with Sandbox(leads=1, organization=name) as sandbox, httpx.Client(base_url=sandbox.url, auth=ADMIN) as client:
            listed = ("lead/", "status/lead/", "status/opportunity/", "pipeline/", "custom_field/lead/")
            rows = [client.get(path).json()["data"][0]["organization_id"] for path in listed]
            return {*rows, client.get("me/").json()["organizations"][0]["id"]}

    assert len(ids("A")) == len(ids("B")) == 1
    assert ids("A") != ids("B")


def test_the_seed_looks_like_a_real_organisation() -> None:
    with Sandbox(leads=300, now=NOW) as sandbox:
        leads: list[dict[str, object]] = []
        while len(leads) < 300:
            params = {"_skip": len(leads), "_limit": 100}
            leads += httpx.get(f"{sandbox.url}lead/", params=params, auth=ADMIN).json()["data"]

    names = {str(lead["name"]) for lead in leads}
    assert {"Testudo Security", "Protestant Press", "Contest Media", "Attestor Legal"} <= names
    assert {"Test", "test@test.com", "ACME test lead"} <= names
    assert len({lead["status_label"] for lead in leads}) == 7
    assert min(str(lead["date_created"]) for lead in leads) < "2021-06"
    assert max(str(lead["date_updated"]) for lead in leads) <= "2026-01-01"
    assert any(not lead["contacts"] for lead in leads)
    assert any(lead["opportunities"] for lead in leads)


def test_a_database_is_found_again(tmp_path: Path) -> None:
    file = tmp_path / "close.sqlite3"
    with Sandbox(leads=5, database=file) as sandbox:
        httpx.post(f"{sandbox.url}lead/", json={"name": "sixth"}, auth=ADMIN)

    with Sandbox(leads=99, database=file) as again:
        assert total(again) == 6


def test_a_bulk_delete_goes_on_after_a_restart(tmp_path: Path) -> None:
    query = {"s_query": {"type": "object_type", "object_type": "lead"}}
    with Sandbox(leads=5, leads_per_second=0.1, database=tmp_path / "close.sqlite3") as sandbox:
        job = httpx.post(f"{sandbox.url}bulk_action/delete/", json=query, auth=ADMIN).json()

    with Sandbox(database=tmp_path / "close.sqlite3") as again:
        found = httpx.get(f"{again.url}bulk_action/delete/{job['id']}/", auth=ADMIN).json()
        assert found["status"] in ("created", "loading", "processing")


def test_a_port_in_use_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(PortInUse):
            Sandbox(port=port)
        assert call(["sandbox", "--port", str(port), "--leads", "0"]) == 2

    output = capsys.readouterr()
    assert output.err == f"port {port} is in use: stop what listens there or choose another with --port.\n"
    assert output.out == ""


@pytest.mark.parametrize("argv", [["--leads", "-1"], ["--leads-per-second", "0"], ["--port", "x"], ["--nope"]])
def test_wrong_flags_are_wrong_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["sandbox", *argv]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("my notes, which nobody should overwrite" * 20)

    assert call(["sandbox", "--port", "0", "--database", str(file)]) == 2

    assert str(file) in capsys.readouterr().err
    assert file.read_text().startswith("my notes")


def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "crm.sqlite3"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE leads (mine)")
    connection.close()

    assert call(["sandbox", "--port", "0", "--database", str(file)]) == 2

    assert "not written by this version of the sandbox" in capsys.readouterr().err
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT sql FROM sqlite_master").fetchall() == [("CREATE TABLE leads (mine)",)]
    connection.close()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_program_serves_until_it_is_told_to_stop(tmp_path: Path, stop: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "flows", "sandbox", "--port", "0", "--leads", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as program:
        assert program.stdout is not None
        url = next(word for word in program.stdout.readline().split() if word.startswith("http"))
        me = httpx.get(f"{url}me/", auth=ADMIN)
        program.send_signal(stop)
        assert program.wait(10) == 0

    assert me.status_code == 200
    assert list(tmp_path.iterdir()) == []


def test_the_readme_names_every_flag_and_switch() -> None:
    readme = (ROOT / "deployments" / "sandbox" / "README.md").read_text()
    rows = {line.split("`")[1] for line in readme.splitlines() if line.startswith("| `")}

    assert set(Behaviour.model_fields) <= rows
    for setting in JobSettings.model_fields:
        assert f"`{setting}`" in readme
    for fault in get_args(FaultName):
        assert f"`{fault}`" in readme
    for flag in ("--port 8765", "--leads 1000", "--seed 7", "--leads-per-second 200", "--database FILE"):
        assert flag in rows


def test_importing_it_imports_neither_prefect_nor_our_tasks() -> None:
    code = (
        "import sys, deployments.sandbox.server;"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'prefect', 'tasks', 'flows'}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)

    assert found.stdout == "[]\n"
