"""``make up``: everything at once, with the stand-in for Close unless a person has named an organisation."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from support.close_account import ADMIN, USER, CloseAccount
from support.migrated import copy_to_home
from support.terminal_processes import at_a_terminal

from deployments.up import environment

pytestmark = [pytest.mark.server, pytest.mark.system]

ROOT = Path(__file__).parents[2]
UP = [sys.executable, "-m", "deployments.up"]
READY = "Ctrl-C stops everything."
ELSEWHERE = """
CLOSE_API_KEY=api_mine
CLOSE_API_URL=https://close.invalid/api/v1/
CLOSE_ORGANIZATION_ID=orga_mine
CLOSE_ORGANISATION_ID=orga_misspelt
CLOSE_KEEP_SMART_VIEW=Mine
PREFECT_API_URL=http://127.0.0.1:9/api
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with an environment and a `.env` that lead to servers that aren't there."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("flows", "tasks", "deployments", "prefect.yaml"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".env").write_text(ELSEWHERE)
    for line in ELSEWHERE.split():
        monkeypatch.setenv(*line.split("="))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def data() -> Path:
    """The folder of the made-up organisation."""
    return environment.folder("sandbox")


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def up(port: int) -> Generator[tuple["subprocess.Popen[str]", str]]:
    """``make up``, once everything runs; with what it has said."""
    with subprocess.Popen([*UP, "--port", str(port)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith(READY):
                break
        try:
            yield process, said
        finally:
            process.send_signal(signal.SIGINT)


def processes_of(data: Path) -> list[bytes]:
    """The commands of the processes whose Prefect server keeps its data there."""
    found: list[bytes] = []
    for folder in Path("/proc").iterdir():
        try:
            if str(data).encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes())
        except OSError:
            continue
    return found


def test_it_shows_a_report_and_a_form_whatever_env_says_and_ctrl_c_leaves_nothing_running(
    checkout: Path, data: Path, port: int, prefect_database: Path, tmp_path: Path
) -> None:
    """By then it knows nobody's key, and the organisation is there again the next time."""
    data.mkdir(parents=True)
    copy_to_home(prefect_database, data / "prefect")

    with up(port) as (process, said):
        again = subprocess.run([*UP, "--port", str(port)], capture_output=True, text=True, check=False)
        report = re.search(r"(http://127\.0\.0\.1:\d+)/artifacts/artifact/(\S+)", said)
        form = re.search(r"/deployments/deployment/(\S+)/run", said)
        assert report, said
        assert form, said
        page = httpx.get(report[0], headers={"Accept": "text/html"})
        artifact = httpx.get(f"{report[1]}/api/artifacts/{report[2]}").json()
        deployment = httpx.get(f"{report[1]}/api/deployments/{form[1]}").json()
        running = processes_of(data)
    code = process.wait(60)

    assert "DryRun: 3 of 1,000 leads would be deleted." in said
    assert page.is_success
    assert "3 of 1,000 leads would be deleted" in artifact["data"].replace("\\", "")
    assert f" CLOSE_BACKUP_URL={data / 'backups'}\n" in said
    assert deployment["name"] == "ad-hoc"
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == "make up is running already: Ctrl-C in its terminal stops it.\n"
    assert (code, len(running) >= 2, processes_of(data)) == (0, True, [])
    assert (data / "close.sqlite").exists()
    assert data.stat().st_mode & 0o077 == 0
    assert not (tmp_path / ".prefect").exists()


def test_a_port_in_use_is_said(checkout: Path, data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = subprocess.run([*UP, "--port", str(port)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Port {port} is in use, perhaps by `make server`: stop what listens there")
    assert not (data / "prefect").exists()


def test_the_real_thing_needs_the_name_of_its_organisation_and_a_key_that_is_on_no_command_line(
    sandbox: CloseAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key in the environment, where make puts what is typed after it, is another one."""
    for name in ("CLOSE_API_KEY", "CLOSE_API_URL"):
        monkeypatch.delenv(name)
    (tmp_path / "real").write_text(f"CLOSE_API_KEY={ADMIN}\nCLOSE_API_URL={sandbox.url}\n")

    said = at_a_terminal([*UP, "--real"], "Sandbox", {"CLOSE_ENV_FILE": str(tmp_path / "real"), "CLOSE_API_KEY": USER})

    assert said.returncode == 2
    assert "CLOSE_API_KEY of the environment isn't used here" in said.stdout
    assert f"This key is that of ada@sandbox.example, Sandbox Inc. ({sandbox.organization_id()})." in said.stdout
    assert said.stderr.splitlines()[-1] == "That isn't its name, so nothing is started."
    assert not environment.folder("sandbox").parent.exists()


def test_the_real_thing_needs_somebody_at_a_terminal() -> None:
    done = subprocess.run(
        [*UP, "--real"], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("make up REAL=1 asks for the name of the organisation")


def test_its_prefect_server_is_set_as_that_of_make_server() -> None:
    """So that in both the automations find runs that fell silent, and slots come free."""
    [recipe] = re.findall(r"^server: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert dict(re.findall(r"(PREFECT_\w+)=(\S+)", recipe)) == environment.SERVER
