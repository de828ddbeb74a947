"""Deploy prefect.yaml, with what it needs on the Prefect server: ``make deploy``.

The work pool and the Secret block with the API key are created if they are missing. What the file no longer has is
paused, and deleted only after a yes. The automations come last: those that recover runs without a person, see
automations.py, and those that send messages, see notifications.py.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any, cast

import yaml
from cyclopts import App, CycloptsError, Parameter
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from pydantic import SecretStr, ValidationError

from deployments import (
    automations,
    keys,
    notifications,
    offboarding,
    organizations,
    prefect_yaml,
    removed,
    schedules,
    server_settings,
)
from deployments.organizations import Organizations
from deployments.prefect_yaml import PrefectYaml
from flows.console.documents import Unreadable
from flows.console.terminal import INTERRUPTED, WRONG_USAGE, Usage, put, say
from tasks.close.settings import CloseSettings, settings_problem
from tasks.runs.connect import all_pages, check_prefect
from tasks.runs.connect import prefect as connect_to_prefect
from tasks.runs.prefect_errors import PrefectUnavailable
from tasks.runs.run import TAG
from tasks.runs.wording import with_full_stop

ROOT = Path(__file__).parent.parent
FILE = "prefect.yaml"
POOL = "lead-cleanup"
LONGEST_REASON = 500  # characters; Prefect may repeat all that it was sent

app = App(
    name="make deploy",
    help="Deploy prefect.yaml to the Prefect server at PREFECT_API_URL.",
    suppress_keyboard_interrupt=False,  # call() says what it means
)


class CannotDeploy(Exception):
    """Deploying stops here. The message is one sentence that says why."""


@app.default
def deploy(
    *,
    prune: Annotated[
        bool, Parameter(help="Delete what prefect.yaml no longer has, without asking (make deploy PRUNE=1).")
    ] = False,
    replace_key: Annotated[
        bool, Parameter(help="Replace the key in the Secret block, without asking (make deploy REPLACE_KEY=1).")
    ] = False,
    organization: Annotated[
        str | None,
        Parameter(help="Which one of organizations.yaml CLOSE_API_KEY is for (make deploy ORGANIZATION=acme)."),
    ] = None,
) -> int:
    """Deploy prefect.yaml, for each organisation too, and say what becomes of each deployment and schedule."""
    return _done(_deploy(prune=prune, replace_key=replace_key, organization=organization))


@app.command
def offboard(organization: str = "", /) -> int:
    """Remove an organisation: its deployments, its key and its entry in organizations.yaml. Its reports stay."""
    return _done(_offboard(organization))


def deploy_for_one(key: SecretStr, *, schedules_off: bool = False) -> int:
    """Deploy prefect.yaml alone with *key*, which is known to work. Returns the exit code."""
    return _done(_deploy(key, schedules_off=schedules_off))


def _done(steps: Iterator[str]) -> int:
    """Take the *steps*, print what each says, and return the exit code."""
    try:
        for sentence in steps:
            put(sentence)
    except (CannotDeploy, automations.WrongFile, keys.WrongKeys, Usage) as error:
        say(str(error))
    except offboarding.Unfinished as error:
        say(str(error))
        return 1
    except PrefectUnavailable as error:
        say(f"{error} What is done so far stays.")
        return error.exit_code
    else:
        return 0
    return WRONG_USAGE


def _deploy(
    key: SecretStr | None = None,
    *,
    prune: bool = False,
    replace_key: bool = False,
    organization: str | None = None,
    schedules_off: bool = False,
) -> Iterator[str]:
    """Do all of it, in the order in which an error does the least harm; yield what is said of each step.

    With *key* there is one organisation, whatever organizations.yaml lists, and each Secret block gets that key.
    """
    _check_server_is_set()
    wanted, messages, (file, listed) = automations.read(), notifications.read(), _read(several=key is None)
    with connect_to_prefect() as prefect:
        if key is None:
            yield from _keys(file, listed, organization, replace=replace_key)
        else:
            for block in file.blocks:
                keys.save(block, key)
        _make_pool(prefect)
        deployed = _deployed(prefect)
        if schedules_off:
            file = file.with_schedules_off()
            for each in deployed.values():
                if TAG in each.tags:
                    schedules.pause(prefect, each, each.schedules)
        gone = list(removed.find(deployed, file))
        for each in gone:
            yield each.pause(prefect, prune=prune)
        _run_prefect_deploy(file.document(paused={name for name, each in deployed.items() if each.paused}), ROOT)
        differ = yield from _apply_schedules(prefect, file)
        yield from (said for each in gone if (said := each.delete(prefect, prune=prune)))
        yield from automations.apply(prefect, wanted)
        yield from notifications.apply(prefect, messages)
        yield from server_settings.missing(prefect)
    if differ:
        raise CannotDeploy(
            f"On the server these parameters differ from prefect.yaml: {', '.join(differ)}. The schedules of their "
            "deployments are paused."
        )


def _offboard(name: str) -> Iterator[str]:
    _check_server_is_set()
    _, listed = _read()
    with connect_to_prefect() as prefect:
        yield from offboarding.offboard(prefect, name, listed, ROOT / organizations.FILE, _deployed(prefect))


def _check_server_is_set() -> None:
    if not PREFECT_API_URL.value():
        raise CannotDeploy("Set PREFECT_API_URL to the Prefect server to deploy to, such as http://127.0.0.1:4200/api.")


def _read(*, several: bool = True) -> tuple[PrefectYaml, Organizations]:
    """What prefect.yaml says, with what organizations.yaml adds if there may be *several*; and the latter."""
    reading = FILE
    try:
        file = prefect_yaml.read(ROOT / FILE)
        if not several:
            return file, Organizations()
        reading = str(organizations.FILE)
        listed = organizations.read(ROOT / organizations.FILE)
        return organizations.add(listed, file), listed
    except Unreadable as error:
        raise CannotDeploy(f"{reading} {with_full_stop(str(error))} Nothing is deployed.") from None


def _keys(file: PrefectYaml, listed: Organizations, organization: str | None, *, replace: bool) -> Iterator[str]:
    """Leave a key in each Secret block: first in the one that CLOSE_API_KEY is for, so that they can be set one by one.

    Nothing is said of the others unless all have one.
    """
    try:
        settings = CloseSettings()
    except ValidationError as error:
        raise CannotDeploy(settings_problem(error)) from None
    wanted = keys.wanted(file.deployments, listed.organizations, settings, organization)
    if replace:
        keys.check_that_one_is_replaced(wanted, settings)
    yield from (keys.ensure(each, replace=replace) for each in wanted if each.given)
    others = [each for each in wanted if not each.given]
    keys.check_that_all_can_be_had(others)
    yield from [keys.ensure(each, replace=replace) for each in others]
    if settings.api_key and len(others) == len(wanted):
        yield f"CLOSE_API_KEY is not used{': ORGANIZATION=… says whose key it is' if listed.organizations else ''}."


def _make_pool(prefect: SyncPrefectClient) -> None:
    try:
        prefect.read_work_pool(POOL)
    except ObjectNotFound:
        prefect.create_work_pool(WorkPoolCreate(name=POOL, type="process"))


def _deployed(prefect: SyncPrefectClient) -> dict[str, DeploymentResponse]:
    """All deployments on the server, by their full names."""
    found = all_pages(prefect.read_deployments)
    return {f"{prefect.read_flow(each.flow_id).name}/{each.name}": each for each in found}


def _run_prefect_deploy(document: dict[str, Any], folder: Path) -> None:
    """Let Prefect deploy *document*. Raises `CannotDeploy`, or `PrefectUnavailable` if its server has gone away."""
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "prefect.yaml"
        file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        prefect = Path(sys.executable).parent / "prefect"
        command = [prefect, "--no-prompt", "deploy", "--all", "--prefect-file", file]
        # The pull step of prefect.yaml names $PWD, which cwd alone would leave at the caller's folder.
        environment = {**os.environ, "PWD": str(folder), "PYTHONUTF8": "1", "NO_COLOR": "1", "COLUMNS": "1000"}
        done = subprocess.run(  # noqa: S603 - all ours
            command,
            cwd=folder,
            env=environment,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        check_prefect()
        said = [line.strip("│╭╮╰╯─ ") for line in done.stdout.splitlines()]
        reason = shorten(next(line for line in reversed(said) if line), LONGEST_REASON, placeholder=" …")
        raise CannotDeploy(f"Prefect did not deploy all of prefect.yaml: {reason}")


def _apply_schedules(prefect: SyncPrefectClient, file: PrefectYaml) -> Generator[str, None, list[str]]:
    """Apply the file's schedules, and yield a sentence for each deployment.

    Return the places where parameters differ; the schedules of those deployments are paused.
    """
    differ: list[str] = []
    for each in file.deployments:
        found = prefect.read_deployment_by_name(each.full_name)
        if differences := list(_differences(each.parameters, found.parameters, each.name)):
            schedules.pause(prefect, found, found.schedules)
            differ += differences
        else:
            said = list(schedules.apply(prefect, found, each.schedules))
            paused = "paused as a whole in Prefect, and stays so: " if found.paused else ""
            yield f"{each.name}: {paused}{'; '.join(said) or 'no schedule'}."
    return differ


def _differences(wanted: object, found: object, place: str) -> Iterator[str]:
    """The places where a value on the server isn't that of the file."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        here, there = cast("dict[str, object]", wanted), cast("dict[str, object]", found)
        for key in {**here, **there}:
            yield from _differences(here.get(key, ...), there.get(key, ...), f"{place}.{key}")
    elif json.dumps(wanted) != json.dumps(found):
        yield place


def call(words: Sequence[str]) -> int:
    """Deploy with the flags *words*, and return the exit code."""
    try:
        return app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        say(str(error))
    except KeyboardInterrupt:
        say("Interrupted. What is deployed so far stays; make deploy does the rest.")
        return INTERRUPTED
    return WRONG_USAGE
