"""``make deploy`` over a server that people have touched: what they paused stays so, and nothing is lost silently."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.exceptions import ObjectNotFound
from prefect.states import Running
from pydantic import SecretStr
from support.close_account import ADMIN, USER, CloseAccount
from support.terminal_processes import at_a_terminal
from support.terminal_session import Command, Said
from support.variations import first

from deployments import deploy

pytestmark = [pytest.mark.server, pytest.mark.system, pytest.mark.usefixtures("empty_ledger")]

ROOT = Path(__file__).parents[2]
FLOW = """
from prefect import flow

@flow(name="tidy")
def tidy(values: dict | None = None, approval: str = "never") -> None:
    pass
"""
Write = Callable[..., None]


@pytest.fixture
def prefect(undeployed: SyncPrefectClient) -> SyncPrefectClient:
    return undeployed


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a prefect.yaml with these deployments: parameters, and schedules as the file has them."""
    monkeypatch.setattr(deploy, "ROOT", tmp_path)
    (tmp_path / "tidy.py").write_text(FLOW)

    def write(**deployments: dict[str, Any]) -> None:
        shared = {"entrypoint": "tidy.py:tidy", "tags": ["lead-cleanup"], "work_pool": {"name": "lead-cleanup"}}
        entries = [{"name": name.replace("_", "-"), **shared, **each} for name, each in deployments.items()]
        (tmp_path / "prefect.yaml").write_text(yaml.safe_dump({"pull": [], "deployments": entries}))

    return write


@pytest.fixture
def make_deploy(prefect: SyncPrefectClient, sandbox: CloseAccount, capfd: pytest.CaptureFixture[str]) -> Command:
    """`make deploy`, in this process; Prefect's own command is another."""

    def call(*flags: str) -> Said:
        capfd.readouterr()
        code = deploy.call(flags)
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return call


def nightly(**more: object) -> dict[str, object]:
    return {"slug": "nightly", "cron": "0 6 * * *", "timezone": "Europe/Berlin", **more}


def weekly(**more: object) -> dict[str, object]:
    return {"slug": "weekly", "cron": "0 10 * * 2", "timezone": "Europe/Berlin", **more}


def schedules(prefect: SyncPrefectClient, name: str) -> dict[str | None, DeploymentSchedule]:
    """Those of the deployment, by their slug."""
    return {each.slug: each for each in prefect.read_deployment_by_name(f"tidy/{name}").schedules}


def kept_key() -> str:
    block = cast("Secret[str]", Secret.load("close-api-key"))  # pyright: ignore[reportUnknownMemberType]
    return block.get()


def test_over_what_people_did_in_prefect_nothing_they_paused_starts_and_nothing_is_lost_silently(
    prefect: SyncPrefectClient, write: Write, make_deploy: Command
) -> None:
    """A person has paused one schedule and added one, and the file has lost one and gained one."""
    write(junk={"schedules": [nightly(), weekly()]}, stale={"schedules": [weekly()]})
    assert make_deploy().code == 0
    junk, before = prefect.read_deployment_by_name("tidy/junk"), schedules(prefect, "junk")
    prefect.update_deployment_schedule(junk.id, before["nightly"].id, active=False)
    hourly = IntervalSchedule(interval=timedelta(hours=1), timezone="UTC")
    [added] = prefect.create_deployment_schedules(junk.id, [DeploymentScheduleCreate(schedule=hourly)])

    write(
        junk={"schedules": [nightly(), {"slug": "monthly", "cron": "0 5 1 * *"}]},
        stale={"schedules": [weekly(cron="0 11 * * 2")]},
    )
    with ThreadPoolExecutor() as elsewhere:
        deploying = elsewhere.submit(make_deploy)
        seen_active = [schedules(prefect, "junk")["nightly"].active for _ in iter(deploying.done, True)]
        said = deploying.result()
    after = schedules(prefect, "junk")

    assert said.code == 0
    assert seen_active
    assert not any(seen_active)
    assert said.out.splitlines()[1:4] == [
        "junk: its schedule weekly (0 10 * * 2, Europe/Berlin) is no longer in prefect.yaml, so it is paused: make "
        "deploy PRUNE=1 deletes it.",
        "junk: nightly (0 6 * * *, Europe/Berlin) stays paused, as in Prefect: resume it there; monthly "
        "(0 5 1 * *, UTC); one added in Prefect (every 1:00:00, UTC), which stays.",
        "stale: weekly (0 11 * * 2, Europe/Berlin).",
    ]
    assert {slug: each.active for slug, each in after.items()} == {
        "nightly": False,
        "weekly": False,
        "monthly": True,
        None: True,
    }
    assert after[None].id == added.id
    assert after["nightly"].id == before["nightly"].id
    assert schedules(prefect, "stale")["weekly"].active


@pytest.mark.exhaustive
def test_what_the_file_says_is_paused_is_paused(prefect: SyncPrefectClient, write: Write, make_deploy: Command) -> None:
    write(junk={"schedules": [nightly(active=False)]})
    make_deploy()
    junk = prefect.read_deployment_by_name("tidy/junk")
    prefect.update_deployment_schedule(junk.id, junk.schedules[0].id, active=True)

    assert "junk: nightly (0 6 * * *, Europe/Berlin) is paused." in make_deploy().out
    assert not schedules(prefect, "junk")["nightly"].active


def test_with_schedules_off_none_stays_active(prefect: SyncPrefectClient, write: Write, make_deploy: Command) -> None:
    """Neither one that is new, nor one that was active, nor one that a person has added: `make up REAL=1`."""
    write(junk={"schedules": [nightly()]})
    make_deploy()
    junk = prefect.read_deployment_by_name("tidy/junk")
    hourly = IntervalSchedule(interval=timedelta(hours=1), timezone="UTC")
    prefect.create_deployment_schedules(junk.id, [DeploymentScheduleCreate(schedule=hourly)])
    write(junk={"schedules": [nightly(), weekly()]})

    assert deploy.deploy_for_one(SecretStr(USER), schedules_off=True) == 0

    after = schedules(prefect, "junk")
    assert {slug: each.active for slug, each in after.items()} == {"nightly": False, "weekly": False, None: False}
    assert kept_key() == USER


@pytest.mark.exhaustive
def test_a_renamed_schedule_stays_as_it_is(prefect: SyncPrefectClient, write: Write, make_deploy: Command) -> None:
    write(junk={"schedules": [nightly()]})
    make_deploy()
    junk = prefect.read_deployment_by_name("tidy/junk")
    prefect.update_deployment_schedule(junk.id, junk.schedules[0].id, active=False)

    write(junk={"schedules": [nightly(slug="early", replaces="nightly")]})

    assert "stays paused" in make_deploy().out
    assert {slug: each.active for slug, each in schedules(prefect, "junk").items()} == {"early": False}


def test_a_deployment_that_the_file_no_longer_has_is_paused_and_pruned_once_its_runs_have_ended(
    prefect: SyncPrefectClient, write: Write, make_deploy: Command
) -> None:
    write(junk={"schedules": [nightly()]}, stale={})
    make_deploy()
    junk = prefect.read_deployment_by_name("tidy/junk")

    write(stale={})
    paused = make_deploy()
    by_schedule = schedules(prefect, "junk")["nightly"]
    run = prefect.create_flow_run_from_deployment(junk.id, state=Running())
    busy = make_deploy("--prune")
    prefect.delete_flow_run(run.id)
    pruned = make_deploy("--prune")

    assert (
        "junk is no longer in prefect.yaml, so its schedules are paused: make deploy PRUNE=1 deletes it.\n"
        in paused.out
    )
    assert "PRUNE=1" not in busy.out
    assert not by_schedule.active
    assert "junk has a run that has not ended, so it isn't deleted." in busy.out
    assert "junk is deleted; its reports stay." in pruned.out
    with pytest.raises(ObjectNotFound):
        prefect.read_deployment(junk.id)


@pytest.mark.exhaustive
def test_a_schedule_that_the_file_no_longer_has_is_pruned(
    prefect: SyncPrefectClient, write: Write, make_deploy: Command
) -> None:
    write(junk={"schedules": [nightly()]})
    make_deploy()
    write(junk={"schedules": []})

    assert "junk: its schedule nightly is deleted." in make_deploy("--prune").out
    assert schedules(prefect, "junk") == {}


@pytest.mark.exhaustive
@pytest.mark.parametrize("typed", ["yes", "no"])
def test_at_a_terminal_it_asks_before_it_deletes_or_replaces(
    prefect: SyncPrefectClient,
    write: Write,
    make_deploy: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
) -> None:
    write(junk={"schedules": [nightly()]}, stale={})
    make_deploy()
    write(junk={"schedules": []})
    monkeypatch.setenv("CLOSE_API_KEY", USER)
    elsewhere = f"from deployments import deploy; deploy.ROOT = deploy.Path({str(tmp_path)!r}); deploy.call([])"
    said = at_a_terminal([sys.executable, "-c", elsewhere], "\n".join([typed] * 3), {}).stdout

    deployed = {each.name for each in prefect.read_deployments()}
    if typed == "yes":
        assert (
            "Key of uma@sandbox.example, Sandbox Inc., replaces that of ada@sandbox.example, another user, in" in said
        )
        assert (schedules(prefect, "junk"), deployed, kept_key()) == ({}, {"junk"}, USER)
    else:
        assert "Key of ada@sandbox.example, Sandbox Inc., still kept in close-api-key. CLOSE_API_KEY is not" in said
        assert not schedules(prefect, "junk")["nightly"].active
        assert (deployed, kept_key()) == ({"junk", "stale"}, ADMIN)


def test_a_key_is_tried_and_never_replaced_by_chance(
    prefect: SyncPrefectClient, write: Write, make_deploy: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(junk={})
    first = make_deploy()
    monkeypatch.delenv("CLOSE_API_KEY")
    kept = make_deploy()
    monkeypatch.setenv("CLOSE_API_KEY", USER)
    other = make_deploy()
    after_other = kept_key()
    replaced = make_deploy("--replace-key")
    monkeypatch.setenv("CLOSE_API_KEY", "api_wrong")
    refused = make_deploy("--replace-key")

    assert first.out.startswith(
        "Key of ada@sandbox.example, Sandbox Inc., taken from CLOSE_API_KEY and kept in close-api-key.\n"
    )
    assert kept.out.startswith("Key of ada@sandbox.example, Sandbox Inc., kept in close-api-key.\n")
    other.is_one_line(
        "CLOSE_API_KEY (that of uma@sandbox.example, Sandbox Inc.) is another key than the one kept in close-api-key"
    )
    assert after_other == ADMIN
    assert replaced.out.startswith(
        "Key of uma@sandbox.example, Sandbox Inc., replaces that of ada@sandbox.example, another user, in "
        "close-api-key. The role user of this key's user may not bulk delete."
    )
    refused.is_one_line("Close refuses the API key (401)")
    assert kept_key() == USER
    for said in (first, kept, other, replaced, refused):
        assert not {ADMIN, USER, "api_wrong"} & set((said.out + said.err).split())


def test_a_kept_key_that_was_revoked_deploys_nothing(
    prefect: SyncPrefectClient, write: Write, make_deploy: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLOSE_API_KEY")
    Secret(value=SecretStr("api_revoked")).save("close-api-key")  # pyright: ignore[reportUnknownMemberType]
    write(junk={})

    make_deploy().is_one_line(
        "The key is kept in close-api-key: CLOSE_API_KEY=api_… make deploy REPLACE_KEY=1 replaces it."
    )
    assert prefect.read_deployments() == []


def test_without_a_key_and_without_anybody_to_ask_nothing_is_deployed(
    prefect: SyncPrefectClient, write: Write, make_deploy: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLOSE_API_KEY")
    write(junk={})

    make_deploy().is_one_line("No API key was given, so nothing is deployed.")
    assert prefect.read_deployments() == []


@pytest.mark.exhaustive
def test_what_prefect_refuses_is_one_sentence_and_nothing_was_deleted_before(
    prefect: SyncPrefectClient, write: Write, make_deploy: Command
) -> None:
    write(junk={"schedules": [nightly()]}, stale={})
    make_deploy()
    write(junk={"work_pool": {"name": "no-such-pool"}})

    said = make_deploy("--prune")

    assert said.code == 2
    assert said.err.startswith(
        "Prefect did not deploy all of prefect.yaml: This deployment configuration references work"
    )
    assert len(said.err.splitlines()) == 1
    assert schedules(prefect, "junk").keys() == {"nightly"}
    assert {each.name for each in prefect.read_deployments()} == {"junk", "stale"}


@pytest.mark.exhaustive
def test_a_deployment_that_was_paused_as_a_whole_stays_so(
    prefect: SyncPrefectClient, write: Write, make_deploy: Command
) -> None:
    write(junk={"schedules": [nightly()]})
    make_deploy()
    junk = prefect.read_deployment_by_name("tidy/junk")
    prefect.pause_deployment(junk.id)

    said = make_deploy()

    assert "junk: paused as a whole in Prefect, and stays so: nightly (0 6 * * *, Europe/Berlin)." in said.out
    assert prefect.read_deployment(junk.id).paused


@pytest.mark.exhaustive
def test_a_chain_of_renamed_schedules_loses_none(
    prefect: SyncPrefectClient, write: Write, make_deploy: Command
) -> None:
    """What a schedule replaces is paused if both are there, and never taken from another that the file declares."""
    write(junk={"schedules": [nightly(slug="a"), nightly(slug="b")]})
    make_deploy()
    write(junk={"schedules": [nightly(slug="b", replaces="a"), nightly(slug="c", replaces="b")]})
    make_deploy()

    assert {slug: each.active for slug, each in schedules(prefect, "junk").items()} == {
        "a": False,
        "b": True,
        "c": True,
    }


@pytest.mark.exhaustive
def test_an_interval_is_counted_from_where_it_was(
    prefect: SyncPrefectClient, write: Write, make_deploy: Command
) -> None:
    write(junk={"schedules": [{"slug": "daily", "interval": 86400}]})
    make_deploy()
    before = schedules(prefect, "junk")["daily"].schedule
    make_deploy()

    assert schedules(prefect, "junk")["daily"].schedule == before


@pytest.mark.parametrize(
    ("name", "value", "code", "sentence"),
    first(
        2,
        [
            (
                "PREFECT_API_URL",
                "http://127.0.0.1:9/api",
                1,
                "The Prefect server at http://127.0.0.1:9/api can't be reached",
            ),
            ("PREFECT_CLIENT_MAX_RETRIES", "many", 2, "A setting of Prefect, PREFECT_…, can't be used: max_retries:"),
            ("CLOSE_BACKUP_DAYS", "many", 2, "CLOSE_BACKUP_DAYS: write a whole number."),
            ("PREFECT_API_URL", "", 2, "Set PREFECT_API_URL to the Prefect server to deploy to"),
            ("SSL_CERT_FILE", "/nowhere.pem", 2, "SSL_CERT_FILE: /nowhere.pem can't be used"),
            ("HTTPS_PROXY", "gopher://proxy", 2, "HTTPS_PROXY: proxies of the scheme gopher:// can't be used"),
        ],
    ),
)
def test_settings_that_can_not_be_used_are_one_sentence(name: str, value: str, code: int, sentence: str) -> None:
    env = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api", "CLOSE_API_KEY": "api_x", name: value}
    done = subprocess.run(
        [sys.executable, "-m", "deployments"], cwd=ROOT, env=env, check=False, capture_output=True, text=True
    )

    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.splitlines()[-1].startswith(sentence)
    assert "Traceback" not in done.stderr
