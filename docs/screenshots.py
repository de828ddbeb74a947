"""Take the pictures of the documentation from the real thing: ``make screenshots``.

A Prefect server with nothing in it, the sandbox, a cleanup that deletes, and the page of its report in a browser.
"""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

import httpx
from playwright.sync_api import sync_playwright

from deployments.sandbox.server import Sandbox

IMAGES = Path(__file__).parent / "images"
PROGRAMS = Path(sys.executable).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CLEANUP = (
    *("run", "--match.status", "Junk", "--match.status", "Bad Fit", "--match.status", "Not Interested"),
    *("--match.inactive-months", "12", "--limits.max-share", "0.3", "--no-limits.ramp"),
    *("--no-dry-run", "--approval", "never", "--json"),
)
WIDTH, MARGIN = 1000, 20  # pixels
PATIENCE = 180  # seconds


def main() -> None:
    """Write every picture into docs/images."""
    with ExitStack() as until_the_end:
        close = until_the_end.enter_context(Sandbox(leads=1000, leads_per_second=500, rate_limits=False))
        home = until_the_end.enter_context(TemporaryDirectory(prefix="screenshots-"))
        api, environment = _surroundings(home, close.url)
        server = subprocess.Popen([PROGRAMS / "prefect", "server", "start"], env=environment)  # noqa: S603 - all ours
        until_the_end.callback(server.wait)
        until_the_end.callback(server.terminate)
        _wait_for(f"{api}/health")
        done = subprocess.run(  # noqa: S603 - all ours
            [PROGRAMS / "lead-cleanup", *CLEANUP], env=environment, check=True, stdout=subprocess.PIPE
        )
        _photograph(api, json.loads(done.stdout)["flow_run_id"], IMAGES / "report.png")


def _surroundings(home: str, close: str) -> tuple[str, dict[str, str]]:
    """The address of a Prefect server to be started, and the environment of all that belongs to it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    api = f"http://127.0.0.1:{port}/api"
    ours = {
        "HOME": home,
        "CLOSE_API_URL": close,
        "CLOSE_API_KEY": "api_sandbox.admin",
        "PREFECT_HOME": home,
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("CLOSE_", "PREFECT_", "XDG_"))}
    return api, {**theirs, **ours}


def _wait_for(address: str) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            httpx.get(address).raise_for_status()
        except httpx.HTTPError:
            if time.monotonic() > until:
                raise
            time.sleep(1)
        else:
            return


def _photograph(api: str, run_id: str, file: Path) -> None:
    """The page of the run's report, from its headline to the table of its numbers."""
    runs = {"flow_runs": {"id": {"any_": [run_id]}}, "artifacts": {"type": {"any_": ["markdown"]}}}
    pages = httpx.post(f"{api}/artifacts/filter", json=runs).raise_for_status().json()
    (report,) = (each for each in pages if not str(each["key"]).endswith("-plan"))
    browser_here = next(filter(None, map(which, BROWSERS)), None)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=browser_here) as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": 1600})
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(f"{api.removesuffix('/api')}/artifacts/artifact/{report['id']}")
        page.get_by_role("table").first.wait_for()
        page.wait_for_timeout(2000)  # for the letters and the picture
        begin = page.get_by_role("heading", name="Deleted").bounding_box()
        end = page.get_by_role("table").first.bounding_box()
        if begin is None or end is None:
            raise RuntimeError("the page of the report has no headline or no numbers")
        top = begin["y"] - MARGIN
        file.parent.mkdir(exist_ok=True)
        page.screenshot(path=file, clip={"x": 0, "y": top, "width": WIDTH, "height": end["y"] - top})


if __name__ == "__main__":
    main()
