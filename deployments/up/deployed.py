"""What ``make up`` deploys, its first dry run, and where a person looks at them."""

import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from pydantic import SecretStr

from deployments import prefect_yaml
from deployments.deploy import FILE, ROOT, deploy_for_one
from deployments.prefect_yaml import Deployment, PrefectYaml
from deployments.up.environment import Place
from deployments.up.processes import LOOK_SECONDS, Process
from deployments.up.real import Real
from flows.commands.sandbox import ADMIN_KEY
from flows.console.documents import Unreadable
from flows.console.terminal import Usage, printable, put
from tasks.close.settings import CloseSettings
from tasks.report.artifacts import artifacts_of
from tasks.report.history import report_in
from tasks.report.links import page_of_artifact, page_of_run
from tasks.runs.connect import prefect
from tasks.runs.look_up import FLOW
from tasks.runs.prefect_errors import PrefectUnavailable
from tasks.runs.wording import counted, with_full_stop

FORM = "ad-hoc"
FIRST = "test-leads"
"""Of the made-up organisation it plans some leads, and is over none of its limits; it names nothing that a real one may
not have."""
RUNNING = FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING"]}}, "deployment_id": {"is_null_": False}})
LONGEST_DRY_RUN = 180  # seconds; where Close is away, a run waits for much longer


class Deployed:
    """The deployments of prefect.yaml on the Prefect server of ``make up``."""

    def __init__(self, place: Place, real: Real | None) -> None:
        self._place, self._real = place, real
        self._file = _read(several_organizations=real is None)
        self._cleanups = {each.name: each for each in self._file.deployments if each.flow == FLOW}

    def deploy(self) -> int:
        """Deploy them, and return the exit code. Every block gets the one key that is meant; real schedules are off."""
        put(f"\nDeploying {FILE}, each cleanup with its schedule …")
        if self._real:
            return deploy_for_one(self._real.key, schedules_off=True)
        return deploy_for_one(SecretStr(ADMIN_KEY))

    def dry_run(self, running: Sequence[Process]) -> None:
        """Let the worker make a dry run of the first cleanup, and say how it ended and where its report is."""
        first = self._cleanup(FIRST)
        put(f"\nA first dry run, of {first.name}, is waiting for the worker, which takes some seconds to start …")
        with prefect() as client:
            found = client.read_deployment_by_name(first.full_name)
            # A dry run, even if the deployment says otherwise.
            run = client.create_flow_run_from_deployment(found.id, parameters={"dry_run": True})
            run = _wait(client, run.id, running)
        state = run.state
        if state and state.is_final():
            put(f"{state.name}: {printable(state.message or '')}")
        else:
            put(f"It hasn't ended yet ({run.state_name}).")
        report = _report_of(run.id)
        self._show("The report of this dry run" if report else "This dry run", report or page_of_run(run.id))

    def show(self) -> None:
        """Say where to go from here."""
        with prefect() as client:
            found = client.read_deployment_by_name(self._cleanup(FORM).full_name)
        self._show("A cleanup of your own, by a form", f"/deployments/deployment/{found.id}/run")
        self._show("All cleanups and their runs", "/deployments")
        settings = f"PREFECT_API_URL={self._place.api}"
        if self._real is None:
            close = CloseSettings()
            settings += f" CLOSE_API_URL={close.api_url} CLOSE_API_KEY={ADMIN_KEY}"
            settings += f" CLOSE_BACKUP_URL={shlex.quote(close.backup_url)}"
        put(f"\nFor lead-cleanup in another terminal:\n  export {settings}")
        put(f"What is stored is in {self._place.folder}, with the logs; ~/.prefect isn't used.")
        put("Ctrl-C stops everything.")

    def show_what_is_left(self) -> None:
        """Say what becomes of runs that are stopped with the worker."""
        with suppress(PrefectUnavailable), prefect() as client:
            if runs := client.read_flow_runs(flow_run_filter=RUNNING):
                put(
                    f"{counted(len(runs), 'run')} will continue by itself within half an hour of the next start. "
                    "A bulk delete that one has started continues in Close meanwhile."
                )

    def _cleanup(self, name: str) -> Deployment:
        """The cleanup called *name*, or the first one if there is none."""
        return self._cleanups.get(name) or next(iter(self._cleanups.values()))

    def _show(self, what: str, path: str) -> None:
        put(f"  {what + ':':33} {self._place.ui}{path}")


def _read(*, several_organizations: bool) -> PrefectYaml:
    """prefect.yaml. Raises `Usage` unless ``make up`` can deploy it."""
    try:
        file = prefect_yaml.read(ROOT / FILE)
    except Unreadable as error:
        raise Usage(f"{FILE} {with_full_stop(str(error))} Nothing is deployed.") from None
    if not any(each.flow == FLOW for each in file.deployments):
        raise Usage(f"{FILE} has no cleanup, so there is nothing to show.")
    if len(file.blocks) > 1 and not several_organizations:
        raise Usage(
            f"{FILE} names several Secret blocks ({', '.join(file.blocks)}), so several organisations, and "
            "make up REAL=1 is for one: use make server, make deploy and make worker."
        )
    return file


def _wait(client: SyncPrefectClient, run_id: UUID, running: Sequence[Process]) -> FlowRun:
    """The run, once it has ended, or has taken too long to wait for."""
    deadline = time.monotonic() + LONGEST_DRY_RUN
    while True:
        for each in running:
            each.check()
        run = client.read_flow_run(run_id)
        if (run.state and run.state.is_final()) or time.monotonic() > deadline:
            return run
        time.sleep(LOOK_SECONDS)


def _report_of(run_id: UUID) -> str | None:
    """The page of the run's report; None if it has published none."""
    reports = [each for each in artifacts_of(run_id) if report_in(each)]
    return page_of_artifact(reports[-1].id) if reports else None
