"""A run of a deployment that asks for approval, in this process."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import OrchestrationResult
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Pause
from prefect.states import AwaitingRetry, Crashed
from support.attempts import attempt

from flows.lead_cleanup import lead_cleanup
from tasks.report.model import Report
from tasks.runs.attempts import BY_AUTOMATION

JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "dry_run": False, "approval": "always", "cleanup": "junk"}


class Asked:
    """A run of a deployment that asks for approval, and what people do about it."""

    def __init__(self, prefect: SyncPrefectClient, run: FlowRun) -> None:
        self._prefect = prefect
        self.id = run.id

    @property
    def found(self) -> FlowRun:
        """The run as it stands on the server."""
        return self._prefect.read_flow_run(self.id)

    @property
    def state(self) -> str:
        """The name of its state."""
        return str(self.found.state_name)

    def answer(self, leads: object, **more: object) -> "OrchestrationResult[Any]":
        """What the Prefect UI sends when somebody fills in the form."""
        return self._prefect.resume_flow_run(self.id, run_input={"leads": leads, "approver": "Ann", **more})

    def waits(self) -> bool:
        """Whether an attempt of the run ends with a request, and without a report."""
        try:
            attempt(self.found)
        except Pause:
            return self.state == "Suspended"
        return False

    def goes_on(self) -> Report:
        """The report of an attempt of the run."""
        report = attempt(self.found)
        assert report
        return report

    def crashes(self) -> None:
        """The run is called crashed, and put back by the automation."""
        self._prefect.set_flow_run_state(self.id, Crashed())
        self._prefect.set_flow_run_state(self.id, AwaitingRetry(message=BY_AUTOMATION))


Ask = Callable[..., Asked]


@contextmanager
def asking() -> Generator[Ask]:
    """A deployment; what is yielded creates a run of it, which waits for approval unless told otherwise."""
    with get_client(sync_client=True) as prefect:
        deployment = prefect.create_deployment(prefect.create_flow(lead_cleanup), f"junk-{uuid4().hex}")

        def created(*, waits: bool = True, **parameters: Any) -> Asked:
            given = {**JUNK, **parameters}
            asked = Asked(prefect, prefect.create_flow_run_from_deployment(deployment, parameters=given))
            if waits:
                assert asked.waits()
            return asked

        yield created
