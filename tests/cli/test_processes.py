"""Commands as processes of their own: the demo, and a sandbox that somebody stops."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.server

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
    assert f"\n{planned[1]} leads are deleted.\n" in done.stdout
    assert "Kept by won opportunities" in done.stdout
    assert "lead-cleanup doctor" in done.stdout
    assert "Traceback" not in done.stderr
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


def test_an_interrupted_run_names_the_bulk_delete_that_goes_on(sandbox_slow: str, prefect_server: str):
    settings = {"CLOSE_API_URL": sandbox_slow, "CLOSE_API_KEY": "api_sandbox.admin", "PREFECT_API_URL": prefect_server}
    with subprocess.Popen(
        [*FLOWS, "run", "junk", "--limits.max-share", "0.5", "--no-dry-run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, **settings},
    ) as process:
        assert process.stderr is not None
        job = next(found[0] for line in process.stderr if (found := re.search(r"bulkdelete_\w+", line)))
        time.sleep(0.5)

        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()

        assert process.wait(timeout=30) == 130
    assert f"Interrupted. Close goes on with bulk delete {job}" in rest
    assert "Traceback" not in rest
