"""Create what the deployments need on the Prefect server, then deploy them: ``make deploy``.

The work pool, and the Secret block with the API key, are created if they are missing; neither is changed if it exists.
The key is asked for at the terminal, or taken from CLOSE_API_KEY; it is sent to the server and nowhere else. The
automations that recover runs without a person come last; see automations.py.
"""

import os
import subprocess
import sys
from getpass import getpass
from pathlib import Path
from typing import Any, cast

import httpx
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import PREFECT_API_URL
from pydantic import SecretStr

from deployments import automations
from flows.console.documents import Unreadable, text_of, yaml_of

ROOT = Path(__file__).parent.parent
POOL = "lead-cleanup"
BLOCK = "close-api-key"
TAG = "lead-cleanup"


def main() -> int:
    """Do all of it, name what is no longer in prefect.yaml, and return the exit code. An error is one sentence."""
    if not PREFECT_API_URL.value():
        return _fail("Set PREFECT_API_URL to the Prefect server to deploy to, such as http://127.0.0.1:4200/api.")
    try:
        wanted, names = automations.read(), _names()
        with get_client(sync_client=True) as prefect:
            return _deploy(prefect, wanted, names)
    except automations.WrongFile as error:
        return _fail(str(error))
    except Unreadable as error:
        return _fail(f"prefect.yaml {error}.")
    except (PrefectException, httpx.HTTPError) as error:
        where = f"The Prefect server at {PREFECT_API_URL.value()}"
        return _fail(f"{where} can't be reached, or refuses the request ({type(error).__name__}).")


def _deploy(prefect: SyncPrefectClient, wanted: list[AutomationCore], names: set[str]) -> int:
    _make_pool(prefect)
    if not _make_block():
        return _fail("No API key was given, so nothing is deployed. Set CLOSE_API_KEY or answer the question.")
    command: list[str | Path] = [Path(sys.executable).parent / "prefect", "--no-prompt", "deploy", "--all"]
    # The pull step of prefect.yaml names $PWD, which cwd alone would leave at the caller's folder. Without
    # PYTHONUTF8, Prefect reads the file in the encoding of the locale.
    environment = {**os.environ, "PWD": str(ROOT), "PYTHONUTF8": "1"}
    if code := subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:  # noqa: S603 - all ours
        return code
    for sentence in automations.apply(prefect, wanted):
        print(sentence)  # noqa: T201
    for name in _left_over(prefect, names):
        print(f"{name} is deployed but no longer in prefect.yaml. Its schedule keeps running; delete it to stop that.")  # noqa: T201
    return 0


def _make_pool(prefect: SyncPrefectClient) -> None:
    try:
        prefect.read_work_pool(POOL)
    except ObjectNotFound:
        prefect.create_work_pool(WorkPoolCreate(name=POOL, type="process"))


def _make_block() -> bool:
    """Whether there is a block now."""
    try:
        Secret.load(BLOCK)  # pyright: ignore[reportUnknownMemberType]
    except ValueError:
        key = os.environ.get("CLOSE_API_KEY") or (getpass("Close API key: ") if sys.stdin.isatty() else "")
        if not key.strip():
            return False
        Secret(value=SecretStr(key.strip())).save(BLOCK)  # pyright: ignore[reportUnknownMemberType]
    return True


def _names() -> set[str]:
    """The deployments of prefect.yaml. Raises `Unreadable` if a key occurs twice: Prefect reads one."""
    document = cast("dict[str, list[dict[str, Any]]]", yaml_of(text_of(ROOT / "prefect.yaml")))
    try:
        return {str(each["name"]) for each in document["deployments"]}
    except (KeyError, TypeError) as error:
        raise Unreadable("has no list called deployments, each with a name") from error


def _left_over(prefect: SyncPrefectClient, names: set[str]) -> list[str]:
    deployed = prefect.read_deployments(
        deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG])),
    )
    return sorted(each.name for each in deployed if each.name not in names)


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main())
