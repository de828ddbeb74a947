"""Three organisations in three sandboxes, on one server and one worker: one has left, and the key of one is revoked."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import UUID

import pytest
import yaml
from deployed_runs import DEPLOYED, ROOT, await_run, read_all
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from pydantic import SecretStr
from support.close_account import ADMIN, CloseAccount, lead

from deployments.sandbox.server import Sandbox

pytestmark = DEPLOYED

NAMES = ("acme", "globex", "initech")
MAKE = "from deployments import deploy; deploy.ROOT = deploy.Path({!r}); raise SystemExit(deploy.call({!r}))"


class Agency:
    """A checkout of its own with an organizations.yaml, and the organisations in it."""

    def __init__(self, folder: Path, env: dict[str, str], close: dict[str, CloseAccount]) -> None:
        self.close = close
        self._folder, self._env = folder, env
        for shared in ("flows", "tasks", "prefect.yaml"):
            (folder / shared).symlink_to(ROOT / shared)
        entries = [
            {
                "name": name,
                "organization_id": account.organization_id(),
                "time_zone": "Europe/Berlin",
                "cleanups": ["junk", "ad-hoc"],
                "settings": {"CLOSE_API_URL": account.url},
                "overrides": {"junk": {"parameters": {"dry_run": False}}},
            }
            for name, account in close.items()
        ]
        (folder / "deployments").mkdir()
        (folder / "deployments" / "organizations.yaml").write_text(yaml.safe_dump({"organizations": entries}))

    def make(self, *words: str) -> str:
        """`make deploy` or `make offboard`; returns what it says."""
        command = MAKE.format(str(self._folder), [*words])
        done = subprocess.run(
            [sys.executable, "-c", command],
            cwd=ROOT,
            env=self._env,
            check=False,
            capture_output=True,
            text=True,
        )
        return done.stdout + done.stderr


@pytest.fixture
def agency(
    prefect: SyncPrefectClient, prefect_environment: dict[str, str], sandbox: CloseAccount, tmp_path: Path
) -> Iterator[Agency]:
    (tmp_path / "checkout").mkdir()
    with ExitStack() as stack:
        servers = [stack.enter_context(Sandbox(leads=0, rate_limits=False, organization=name)) for name in NAMES]
        accounts = [stack.enter_context(closing(CloseAccount(server))) for server in servers]
        for account in accounts:
            account.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"), lead("D"))
        yield Agency(
            tmp_path / "checkout",
            {**prefect_environment, "CLOSE_API_URL": sandbox.url},
            dict(zip(NAMES, accounts, strict=True)),
        )
    for each in prefect.read_deployments():
        if each.name.endswith(NAMES):
            prefect.delete_deployment(each.id)


def test_the_others_run_and_the_overview_says_which_needs_a_person(agency: Agency, worker: SyncPrefectClient) -> None:
    """Nor can a run of one get at another's leads, though its job variables name another key and organisation."""
    acme, globex, initech = agency.close.values()
    for name in NAMES:
        keep_key(name, ADMIN)
    said = agency.make()
    assert "junk-initech: nightly (0 6 * * 1-5, Europe/Berlin) is paused." in said, said
    assert "initech is removed from deployments/organizations.yaml." in agency.make("offboard", "initech")
    keep_key("globex", "api_revoked")

    def start(name: str, **job_variables: dict[str, str]) -> UUID:
        deployment = worker.read_deployment_by_name(f"lead-cleanup/{name}")
        match = {"match": {"status": ["Junk"]}, "dry_run": False}
        return worker.create_flow_run_from_deployment(
            deployment.id, parameters=match, job_variables={**job_variables}
        ).id

    elsewhere = {
        "CLOSE_API_KEY_BLOCK": "close-api-key",
        "CLOSE_API_URL": initech.url,
        "CLOSE_ORGANIZATION_ID": initech.organization_id(),
    }
    started = [start("junk-acme"), start("junk-globex"), start("ad-hoc-acme", env=elsewhere)]
    deleted, refused, astray = (ended(worker, each) for each in started)
    shown = ended(
        worker, worker.create_flow_run_from_deployment(worker.read_deployment_by_name("overview/overview").id).id
    )

    assert [each.state_name for each in (deleted, refused, astray)] == ["Deleted", "Refused", "Refused"]
    assert [len(each.posts("/bulk_action/delete/")) for each in (acme, globex, initech)] == [1, 0, 0]
    assert [len(each.leads()) for each in (acme, globex, initech)] == [2, 4, 4]
    assert "The deployment ad-hoc-acme is for" in message(astray)
    assert "need a person: acme, globex" in message(shown)  # and others, if another test has left them so
    [overview] = [each for each in read_all(str(worker.api_url), "artifacts") if each["key"] == "lead-cleanup-overview"]
    needed, _, rows = overview["data"].partition("| Organisation |")
    assert f"- **globex**: [junk-globex](/runs/flow-run/{refused.id}), Refused. Close refuses " in needed
    assert f"- **acme**: [ad-hoc-acme](/runs/flow-run/{astray.id}), Refused. The deployment ad-hoc-acme is" in needed
    assert f"[junk-acme](/runs/flow-run/{deleted.id})" in rows
    assert "initech" not in overview["data"].replace(message(astray), "")


def keep_key(name: str, key: str) -> None:
    Secret(value=SecretStr(key)).save(f"close-api-key-{name}", overwrite=True)  # pyright: ignore[reportUnknownMemberType]


def ended(prefect: SyncPrefectClient, run_id: UUID) -> FlowRun:
    return await_run(prefect, lambda each: each.id == run_id)


def message(run: FlowRun) -> str:
    assert run.state
    return str(run.state.message)
