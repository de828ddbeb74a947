"""``make deploy`` with organizations.yaml: keys are proven first, twice comes to the same, one command offboards."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.states import Running
from pydantic import SecretStr
from support.close_account import ADMIN, USER, CloseAccount
from support.terminal_processes import at_a_terminal
from support.terminal_session import Command, Said

from deployments import deploy
from deployments.sandbox.server import Sandbox
from tasks.report.artifacts import artifact_key, publish
from tasks.runs.run import run_of

pytestmark = [pytest.mark.server, pytest.mark.system, pytest.mark.usefixtures("empty_ledger")]

FLOW = """
from prefect import flow

@flow(name="tidy")
def tidy(keep: dict | None = None, time_zone: str = "UTC") -> None:
    pass
"""
ENTRY: dict[str, Any] = {
    "name": "junk",
    "entrypoint": "tidy.py:tidy",
    "tags": ["lead-cleanup"],
    "work_pool": {"name": "lead-cleanup"},
    "parameters": {"keep": {"open_tasks": True}},
    "schedules": [{"slug": "nightly", "cron": "0 6 * * *"}],
}
NAMES = ("acme", "globex", "initech")
Listed = Callable[..., None]


@pytest.fixture(scope="module")
def three() -> Iterator[dict[str, CloseAccount]]:
    """Three organisations, each in a sandbox of its own, where each has the same key."""
    with ExitStack() as stack:
        servers = {name: stack.enter_context(Sandbox(leads=0, organization=name)) for name in NAMES}
        yield {name: stack.enter_context(closing(CloseAccount(server))) for name, server in servers.items()}


@pytest.fixture
def prefect(undeployed: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SyncPrefectClient:
    monkeypatch.setattr(deploy, "ROOT", tmp_path)
    (tmp_path / "tidy.py").write_text(FLOW)
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump({"pull": [], "deployments": [ENTRY]}))
    return undeployed


@pytest.fixture
def listed(tmp_path: Path, three: dict[str, CloseAccount]) -> Listed:
    """Writes an organizations.yaml with these, and with the *ids* of others where they are given."""
    (tmp_path / "deployments").mkdir()

    def write(*names: str, **ids: str) -> None:
        entries = [
            {
                "name": name,
                "organization_id": ids.get(name, three[name].organization_id()),
                "time_zone": "America/New_York",
                "cleanups": ["junk"],
                "settings": {"CLOSE_API_URL": three[name].url},
            }
            for name in names
        ]
        document = {"deploy_prefect_yaml": False, "organizations": entries}
        (tmp_path / "deployments" / "organizations.yaml").write_text(yaml.safe_dump(document, sort_keys=False))

    return write


@pytest.fixture
def call(prefect: SyncPrefectClient, capfd: pytest.CaptureFixture[str]) -> Command:
    def call(*words: str) -> Said:
        capfd.readouterr()
        code = deploy.call(words)
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return call


def keep_key(name: str, key: str = ADMIN) -> None:
    Secret(value=SecretStr(key)).save(f"close-api-key-{name}", overwrite=True)  # pyright: ignore[reportUnknownMemberType]


def blocks(prefect: SyncPrefectClient) -> set[str | None]:
    return {each.name for each in prefect.read_block_documents_by_type("secret")}


def deployed(prefect: SyncPrefectClient) -> dict[str, DeploymentResponse]:
    return {each.name: each for each in prefect.read_deployments()}


def test_one_is_offboarded_though_the_key_of_another_is_revoked_and_twice_changes_nothing(
    prefect: SyncPrefectClient,
    listed: Listed,
    call: Command,
    monkeypatch: pytest.MonkeyPatch,
    three: dict[str, CloseAccount],
) -> None:
    listed(*NAMES)
    for name in ("globex", "initech"):
        keep_key(name)
    monkeypatch.setenv("CLOSE_API_KEY", ADMIN)
    first, before = call("--organization", "acme"), deployed(prefect)
    monkeypatch.delenv("CLOSE_API_KEY")
    second, after = call(), deployed(prefect)

    lines = [f"junk-{name}: nightly (0 6 * * *, America/New_York)." for name in NAMES]
    assert [line for line in first.out.splitlines() if line.startswith("junk")] == lines
    assert "Key of ada@sandbox.example, acme, taken from CLOSE_API_KEY and kept in close-api-key-acme." in first.out
    assert second.out.splitlines()[3:6] == lines
    unchanged = {"parameters", "job_variables", "tags", "id", "schedules", "paused"}
    assert set(after) == {"junk-acme", "junk-globex", "junk-initech"}
    for name, each in after.items():
        schedules = [schedule.model_dump(exclude={"updated"}) for schedule in each.schedules]
        assert schedules == [schedule.model_dump(exclude={"updated"}) for schedule in before[name].schedules]
        assert each.model_dump(include=unchanged - {"schedules"}) == before[name].model_dump(
            include=unchanged - {"schedules"}
        )

    keep_key("acme", "api_revoked")
    revoked = call()
    busy_run = prefect.create_flow_run_from_deployment(after["junk-globex"].id, state=Running())
    of_acme, of_globex = (
        f"{artifact_key(run_of(busy_run, f'junk-{name}'), three[name].organization_id(), name)}-plan"
        for name in ("acme", "globex")
    )
    for key in (of_acme, of_globex):
        publish(busy_run.id, "markdown", "", key=key, description="")
    busy = call("offboard", "globex")
    paused = deployed(prefect)["junk-globex"].schedules
    prefect.delete_flow_run(busy_run.id)
    elsewhere = f"from deployments import deploy; deploy.ROOT = deploy.Path({str(deploy.ROOT)!r}); raise SystemExit("
    stopped = at_a_terminal([sys.executable, "-c", f"{elsewhere}deploy.call(['offboard', 'globex']))"], "yes", {})
    left = call("offboard", "globex")

    assert revoked.code == 0
    assert (
        "Runs of acme will be refused, since Close refuses its key (401), kept in close-api-key-acme: make a new one "
        "in Close, then CLOSE_API_KEY=api_… make deploy ORGANIZATION=acme REPLACE_KEY=1.\n"
    ) in revoked.out
    busy.is_one_line("To keep globex, resume its schedules in Prefect.", code=1)
    assert not any(each.active for each in paused)
    assert (stopped.returncode, stopped.stdout) == (2, "")
    assert (
        "This removes globex: 1 deployment, its key in close-api-key-globex, its entry in organizations.yaml. "
        "Type globex to go on; anything else stops:"
    ) in stopped.stderr
    assert left.out.splitlines() == [
        "junk-globex is deleted; its reports stay.",
        "The Secret block close-api-key-globex is deleted.",
        "Its key still works until you delete it in Close.",
        f"Its backups stay in {three['globex'].organization_id()}/ of CLOSE_BACKUP_URL. Its runs no longer delete "
        "old ones: lead-cleanup backups --prune does.",
        "Its plans stay in Prefect and show names of leads, unless you delete them:",
        f"  prefect artifact delete {of_globex}",
        "globex is removed from deployments/organizations.yaml.",
    ]
    assert set(deployed(prefect)) == {"junk-acme", "junk-initech"}
    assert blocks(prefect) == {"close-api-key-acme", "close-api-key-initech"}
    again = call()
    assert (again.code, set(deployed(prefect))) == (0, {"junk-acme", "junk-initech"})
    call("offboard", "globex").is_one_line("There is no organisation 'globex'; there are 'acme', 'initech'.")
    call("offboard", "").is_one_line("Say which: make offboard ORGANIZATION=acme.")


@pytest.mark.exhaustive  # test_deploy.py has it for one organisation
def test_what_is_taken_off_the_list_is_paused_and_pruned_as_any_deployment(
    prefect: SyncPrefectClient, listed: Listed, call: Command
) -> None:
    for name in NAMES:
        keep_key(name)
    listed(*NAMES)
    call()
    listed("acme", "initech")
    of_prefect_yaml = DeploymentCreate(name="junk", flow_id=prefect.read_flow_by_name("tidy").id, tags=["lead-cleanup"])
    prefect.request("POST", "/deployments/", json=of_prefect_yaml.model_dump(mode="json", exclude_unset=True))
    said = call()

    assert "junk is no longer deployed (deploy_prefect_yaml: false): make deploy PRUNE=1 deletes it.\n" in said.out
    assert (
        "junk-globex is no longer in organizations.yaml, so its schedules are paused: make deploy PRUNE=1 deletes it.\n"
    ) in said.out
    assert (
        "started without PREFECT_SERVER_EVENTS_EXPIRED_BUCKET_BUFFER=P7D: runs that stop while it is down stay Running."
    ) in said.out
    assert "junk-globex is deleted; its reports stay." in call("--prune").out
    assert set(deployed(prefect)) == {"junk-acme", "junk-initech"}


def test_without_every_key_for_its_own_organisation_nothing_is_deployed(
    prefect: SyncPrefectClient, listed: Listed, call: Command, three: dict[str, CloseAccount]
) -> None:
    """Neither by halves: the first organisation of the list is as it should be."""
    keep_key("acme")
    listed("acme", "globex", "initech")
    call().is_one_line("There is no key yet for globex, initech of organizations.yaml, so nothing is deployed")

    keep_key("globex")
    listed("acme", "globex", globex=three["initech"].organization_id())
    of_globex, of_initech = (three[name].organization_id() for name in ("globex", "initech"))
    call().is_one_line(
        f"Nothing is deployed, since the key for globex is that of globex ({of_globex}), and organizations.yaml says "
        f"{of_initech} for globex: set CLOSE_API_KEY to globex's key, or correct organization_id. The key is kept in "
        "close-api-key-globex: CLOSE_API_KEY=api_… make deploy ORGANIZATION=globex REPLACE_KEY=1 replaces it."
    )

    listed("acme", "globex")
    call("--organization", "glbex").is_one_line(
        "There is no organisation 'glbex' in organizations.yaml; did you mean 'globex'? Nothing is deployed."
    )
    assert deployed(prefect) == {}


def test_a_key_is_replaced_only_for_the_organisation_that_is_named(
    prefect: SyncPrefectClient, listed: Listed, call: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each message is followed word for word, until the key is replaced."""
    listed("acme", "globex")
    for name in ("acme", "globex"):
        keep_key(name)
    call("--replace-key").is_one_line("CLOSE_API_KEY is not set: set it to the new key. Nothing is replaced or")

    monkeypatch.setenv("CLOSE_API_KEY", USER)
    call("--replace-key").is_one_line(
        "Whose key is CLOSE_API_KEY? Say make deploy ORGANIZATION=acme REPLACE_KEY=1 (or globex). "
        "Nothing is replaced or deployed."
    )
    call("--organization", "acme").is_one_line("make deploy ORGANIZATION=acme REPLACE_KEY=1 replaces it")
    assert deployed(prefect) == {}
    replaced = call("--organization", "acme", "--replace-key")
    monkeypatch.setenv("CLOSE_API_KEY", ADMIN)
    unused = call()

    assert "Key of uma@sandbox.example, acme, replaces that of ada@sandbox.example, another user, in" in replaced.out
    assert "Key of ada@sandbox.example, globex, kept in close-api-key-globex.\n" in replaced.out
    assert "CLOSE_API_KEY is not used: ORGANIZATION=… says whose key it is.\n" in unused.out
    assert "Key of uma@sandbox.example, acme, kept in close-api-key-acme.\n" in unused.out
