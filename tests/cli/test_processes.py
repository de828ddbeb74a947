"""Commands as processes of their own: the demo, and a sandbox that somebody stops."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.terminal_session import Command

pytestmark = [pytest.mark.server, pytest.mark.system]

FLOWS = [sys.executable, "-m", "flows"]
CHECKOUT = Path(__file__).parents[2]


def test_the_demo_tells_its_story_and_leaves_nothing_behind(tmp_path: Path):
    """With settings of the user around that must not be touched: they'd lead to servers that aren't there."""
    (tmp_path / ".env").write_text("CLOSE_API_URL=https://close.invalid/\nCLOSE_ORGANIZATION_ID=orga_mine\n")
    mine = {"CLOSE_API_KEY": "api_mine.key", "PREFECT_API_URL": "http://127.0.0.1:9/api", "TMPDIR": str(tmp_path)}

    done = subprocess.run(
        [str(Path(sys.executable).with_name("lead-cleanup")), "demo"],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        cwd=tmp_path,
        env={**os.environ, **mine},
    )

    assert done.returncode == 0, done.stderr
    planned = re.search(r"^(\d+) of 1,000 leads would be deleted\.$", done.stdout, re.MULTILINE)
    assert planned, done.stdout
    assert f"\n{planned[1]} leads are deleted. The backup of {planned[1]} leads stays until " in done.stdout
    assert "Kept by won opportunities" in done.stdout
    assert "lead-cleanup doctor" in done.stdout
    assert re.search(r"^The temporary Prefect server is ready, after \d+ s\.$", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr
    assert "Trying again" not in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == [".env"]


def test_the_sandbox_says_what_to_set_and_ends_in_order_on_ctrl_c():
    with subprocess.Popen(
        [*FLOWS, "sandbox", "--port", "0", "--leads", "5"], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        url = re.search(r"CLOSE_API_URL=(\S+)", lines[2])
        key = re.search(r"CLOSE_API_KEY=(\S+)", lines[3])
        assert url is not None
        assert key is not None
        assert httpx.get(f"{url[1]}me/", auth=(key[1], "")).status_code == 200

        process.send_signal(signal.SIGINT)

        assert process.wait(timeout=20) == 0


@contextmanager
def run_under_way(close: str, prefect: str, *words: str) -> Generator[tuple["subprocess.Popen[str]", str]]:
    """``lead-cleanup run`` in a process of its own, once it has started a bulk delete; with the id of that."""
    settings = {"CLOSE_API_URL": close, "CLOSE_API_KEY": "api_sandbox.admin", "PREFECT_API_URL": prefect}
    with subprocess.Popen(
        [*FLOWS, "run", "junk", "--limits.max-share", "0.5", "--no-dry-run", *words],
        stdin=subprocess.DEVNULL,  # nobody is asked
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, **settings},
    ) as process:
        assert process.stderr is not None
        job = next(found[0] for line in process.stderr if (found := re.search(r"bulkdelete_\w+", line)))
        yield process, job


def bulk_delete(close: str, job: str) -> dict[str, Any]:
    """The bulk delete as Close shows it."""
    return httpx.get(f"{close}bulk_action/delete/{job}/", auth=("api_sandbox.admin", "")).json()


def test_ctrl_c_cancels_the_run_and_pauses_its_bulk_delete(
    sandbox_slow: str, prefect_server: str, empty_ledger: None, monkeypatch: pytest.MonkeyPatch, lead_cleanup: Command
):
    """And it goes on from there, wherever `lead-cleanup resume` is called."""
    with run_under_way(sandbox_slow, prefect_server, "--json") as (process, job):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    report = json.loads(out)
    assert (process.returncode, report["outcome"], report["bulk_delete_id"]) == (6, "cancelled", job)
    assert report["message"].startswith(f"Cancelled: Close has paused bulk delete {job} at")
    assert report["message"] in err.splitlines()
    assert "Traceback" not in err
    assert bulk_delete(sandbox_slow, job)["status"] == "paused"

    monkeypatch.setenv("CLOSE_API_URL", sandbox_slow)
    monkeypatch.setenv("CLOSE_API_KEY", "api_sandbox.admin")
    resumed = lead_cleanup("resume", report["flow_run_id"], "--json")
    assert (resumed.code, resumed.json["outcome"], resumed.json["bulk_delete_id"]) == (0, "deleted", job)


def test_a_run_that_is_terminated_leaves_its_bulk_delete_alone(
    sandbox_slow: str, prefect_server: str, empty_ledger: None
):
    """Whoever stops the process doesn't cancel: a restart of the machine must not leave leads half deleted."""
    with run_under_way(sandbox_slow, prefect_server) as (process, job):
        process.terminate()
        _, err = process.communicate(timeout=60)

    assert process.returncode == 143
    assert f"Interrupted. Close continues bulk delete {job}. `lead-cleanup resume" in err
    assert "Traceback" not in err
    assert bulk_delete(sandbox_slow, job)["status"] in {"loading", "processing"}
