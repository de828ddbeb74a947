"""``lead-cleanup demo``: the whole way once, with nothing to set up and nothing left behind."""

import atexit
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from flows.commands.sandbox import ADMIN_KEY
from flows.console.executing import execute
from flows.console.parameters import Parameters
from flows.console.terminal import put
from tasks.criteria.policy import Limits, Match

LEADS: Final = 1000
LEADS_PER_SECOND: Final = 60  # slow enough to watch
CLEANUP: Final = "demo"
CRITERIA: Final = Parameters(
    match=Match(status=["Junk", "Bad Fit", "Not Interested"], inactive_months=12),
    limits=Limits(max_share=0.3, ramp=False),
    sample=8,
)
NEXT: Final = """
That was made up, and is gone now. What to try next:
  source .venv/bin/activate            puts lead-cleanup on the path of this terminal
  lead-cleanup sandbox                 the same organisation, to play with as long as you like
  lead-cleanup run --help              every criterion, every keep rule, every limit
  export CLOSE_API_KEY=api_…           your own organisation (Close: Settings, Developer, API Keys), and then
  lead-cleanup doctor                  what of this your Close accepts; it only reads
  lead-cleanup run --match.inactive-months 24 --limits.batch 100    a plan, which deletes nothing"""


def demo() -> int:
    """Plan and delete in an organisation that is made up; return the first exit code that isn't 0."""
    from deployments.sandbox.server import Sandbox

    put(f"1. A stand-in for Close starts on this machine, with {LEADS:,} leads of a made-up company.")
    with _alone(), Sandbox(leads=LEADS, leads_per_second=LEADS_PER_SECOND, rate_limits=False) as close:
        os.environ.update(
            CLOSE_API_URL=close.url, CLOSE_API_KEY=ADMIN_KEY, CLOSE_BACKUP_URL=str(Path.cwd() / "backups")
        )
        code = _story()
    if code == 0:
        put(NEXT)
    return code


def _story() -> int:
    """Plan, delete and look again. Returns the first exit code that isn't 0."""
    put("2. A dry run: leads that are Junk, Bad Fit or Not Interested, and that nobody has spoken to for a year.\n")
    if code := execute(lambda execution: execution.run(CRITERIA, CLEANUP)):
        return code
    put("\n3. The same for real. Close deletes in the background; the run starts it once, and waits.\n")
    live = CRITERIA.model_copy(update={"dry_run": False})
    return execute(lambda execution: execution.run(live, CLEANUP))


@contextmanager
def _alone() -> Generator[None]:
    """An environment in which nothing of the user's is set, and a folder of its own, until the end.

    Prefect reads its settings when it is imported, from the environment, the current folder and PREFECT_HOME.
    """
    before, folder = dict(os.environ), Path.cwd()
    home = mkdtemp(prefix="lead-cleanup-demo-")
    # Prefect stops its temporary server at exit, too; what is registered first comes last.
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    for name in [each for each in os.environ if each.startswith(("CLOSE_", "PREFECT_"))]:
        del os.environ[name]
    os.environ["PREFECT_HOME"] = home
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"  # it talks to this machine alone
    os.environ.pop("SSL_CERT_FILE", None)
    os.chdir(home)
    try:
        yield
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(before)
