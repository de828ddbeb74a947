"""A person's approval, asked between the plan and the start.

A run of a deployment suspends itself: its process ends, and once somebody has answered, in the Prefect UI or with
``lead-cleanup approve``, it runs again from the beginning and plans anew. What was asked stands in the key of the
suspended state, the answer among the run's inputs; an approval counts for the query that was shown, and for no more
leads. A run without a deployment can't be suspended: whoever has started it is asked there and then.
"""

import getpass
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NoReturn
from uuid import UUID, uuid4

from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, FlowRunInput, State, StateType
from prefect.exceptions import PrefectHTTPStatusError
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.input.run_input import Keyset, keyset_from_base_key
from prefect.states import Failed
from pydantic import Field, StringConstraints

from tasks.criteria.policy import most_without_approval
from tasks.plan.model import Approved, Plan
from tasks.report.artifacts import page_of_plan, write_report
from tasks.report.markdown import escape, kept_by
from tasks.report.model import Report
from tasks.runs.attempts import states_of
from tasks.runs.connect import PREFECT_ERRORS, PrefectAway, plain, prefect
from tasks.runs.logs import log_if_it_fails
from tasks.runs.outcomes import Outcome, Refused, Stop
from tasks.runs.run import Run, run_of

logger = logging.getLogger(__name__)

EXPIRES_AFTER = timedelta(hours=72)
"""Prefect takes no answer after this, and would call the run failed. Shortly before, deployments/automations.yaml puts
it back, so that it says itself that its request has expired."""
BY_EXPIRY = "Nobody has approved this run in time."
"""The message of the state into which that automation puts it; a test holds the two together."""

LINK = "\n\nA sample of them, and the query, are in "
CONFLICT = 409  # HTTP

ask_here: Callable[[Plan], int | None] | None = None
"""Asks whoever has started the run in this process for the number of leads; the command line sets it, at a terminal."""


class Answer(RunInput):
    """The form in the Prefect UI."""

    leads: int = Field(
        ge=0,
        title="Number of leads",
        description="How many leads to delete, as planned. With any other number the run ends and deletes nothing.",
    )
    approver: Annotated[str, StringConstraints(pattern=r"\S", max_length=100)] = Field(
        title="Your name", description="Kept in the report. Nobody checks it."
    )
    note: str = Field(
        default="", max_length=500, title="Note", description="Kept in the report, if you like to say why."
    )

    @classmethod
    def save(cls, keyset: Keyset, flow_run_id: UUID | None = None) -> None:
        """Store the form, unless it is stored already: Prefect's client repeats a request whose answer was lost."""
        try:
            super().save(keyset, flow_run_id)
        except PrefectHTTPStatusError as error:
            if error.response.status_code != CONFLICT:
                raise


@dataclass(frozen=True)
class Request:
    """What a person is asked to approve: a number of leads, and the digest of their query."""

    planned: int
    digest: str
    nonce: str
    """Prefect takes each key once in a run, and the same may have to be asked again."""

    @classmethod
    def of(cls, plan: Plan) -> "Request":
        """The request to approve *plan*."""
        return cls(plan.counts.planned, plan.digest, uuid4().hex)

    @classmethod
    def read(cls, state: State[Any]) -> "Request | None":
        """The request with which a run was suspended in *state*; None if it wasn't, or by somebody else."""
        match (state.state_details.pause_key or "").split("-"):
            case [planned, digest, nonce] if state.type == StateType.PAUSED and planned.isdigit():
                return cls(int(planned), digest, nonce)
            case _:
                return None

    @property
    def key(self) -> str:
        """The key of the suspended state."""
        return f"{self.planned}-{self.digest}-{self.nonce}"

    @property
    def inputs(self) -> Keyset:
        """The keys of the run's inputs: the form, the text above it, and the answer."""
        return keyset_from_base_key(f"suspended-{self.key}")

    def covers(self, plan: Plan) -> bool:
        """Whether *plan* is what was shown: the same query, and no more leads."""
        return plan.digest == self.digest and plan.counts.planned <= self.planned


def approved(run: Run, plan: Plan, approval: str, expect: int | None) -> Plan:
    """*plan* with the approval that it needs by the setting *approval*, if it needs one.

    Where it isn't approved yet, a run of a deployment ends here for now, by an exception of Prefect's. *expect*, which
    is the number planned, counts as an approval only where there is no form. Raises `Stop`: declined, expired, refused.
    """
    if plan.counts.planned <= most_without_approval(approval):
        return plan
    given = _given_here(plan, expect) if run.deployment_id is None else _given(run, plan) or _suspend(run, plan)
    logger.info("%s leads are approved.", f"{given.leads:,}")
    return plan.model_copy(update={"approved": given})


def _given_here(plan: Plan, expect: int | None) -> Approved:
    planned = plan.counts.planned
    if expect is None and ask_here is None:
        raise Refused(
            f"{planned:,} leads are planned, and somebody must approve that: run it at a terminal, or with --expect "
            f"{planned} if that is the number you want."
        )
    typed = ask_here(plan) if expect is None and ask_here else expect
    if typed != planned:
        answer = "nobody has typed that number" if typed is None else f"{typed:,} was typed"
        raise Stop(Outcome.DECLINED, f"{planned:,} leads are planned, and {answer}.")
    return Approved(leads=planned, by=getpass.getuser(), at=datetime.now(UTC))


def _given(run: Run, plan: Plan) -> Approved | None:
    """What somebody has answered to the last request of the run, if it approves *plan*. Raises `Stop`."""
    request, since = last_request(states_of(run))
    if request is None:
        return None
    given = _answered(run.id, request)
    # Once the run has ended, by a wrong number or by expiry, whoever lets it go on has it ask again.
    open_still = not any(state.is_final() and not state.is_crashed() for state in since)
    if given is None:
        if open_still and any(state.message == BY_EXPIRY for state in since):
            hours = EXPIRES_AFTER.total_seconds() / 3600
            raise Stop(Outcome.EXPIRED, f"Nobody has approved the {request.planned:,} leads within {hours:.0f} hours.")
        return None
    if given.leads != request.planned:
        if open_still:
            raise Stop(
                Outcome.DECLINED, f"{given.by} answered {given.leads:,}, but {request.planned:,} leads were planned."
            )
        return None
    if not request.covers(plan):
        logger.warning("The plan is another one than was approved: asking again.")
        return None
    return given


def last_request(states: Iterable[State[Any]]) -> tuple[Request | None, Sequence[State[Any]]]:
    """The last request in the history of a run, if there was one, and the states since."""
    since: list[State[Any]] = []
    for state in sorted(states, key=lambda each: each.timestamp, reverse=True):
        if request := Request.read(state):
            return request, since
        since.append(state)
    return None, since


def _answered(run_id: UUID, request: Request) -> Approved | None:
    found = input_of(run_id, request.inputs["response"])
    if found is None:
        return None
    answer = Answer.model_validate_json(found.value)
    at = plain(found.created or datetime.now(UTC))
    return Approved(leads=answer.leads, by=answer.approver, at=at, note=answer.note)


def input_of(run_id: UUID, key: str) -> FlowRunInput | None:
    """What the run has under this key among its inputs."""
    with prefect() as server:
        found = server.filter_flow_run_input(run_id, key_prefix=key, limit=1, exclude_keys=set())
    return found[0] if found else None


def _suspend(run: Run, plan: Plan) -> NoReturn:
    _retire_older(run, plan)
    request, form = Request.of(plan), Answer.with_initial_data(description=_describe(run, plan))
    try:
        form.save(request.inputs, run.id)  # Prefect stores it only afterwards: whoever dies then waits without a form
        suspend_flow_run(form, timeout=int(EXPIRES_AFTER.total_seconds()), key=request.key)
    except PREFECT_ERRORS as error:
        raise PrefectAway(error) from error
    except RuntimeError as error:  # it was called crashed, for example, though it is alive
        raise Stop(Outcome.FAILED, f"This run can't wait for its approval, and nothing was deleted: {error}") from error
    raise Stop(Outcome.FAILED, "This run was to wait for its approval, and Prefect didn't let it. Nothing was deleted.")


def _describe(run: Run, plan: Plan) -> str:
    """What the form says above its fields, in markdown: numbers and a link, and no names of leads."""
    counts = plan.counts
    head = (
        f"{counts.planned:,} of {counts.total:,} leads would be deleted. {counts.matched:,} match, "
        f"{counts.kept['total']:,} of them are kept."
    )
    asked = f"In {escape(plan.organization)}, asked for: {escape(plan.criteria)}"
    text = "\n\n".join(filter(None, [head, asked, kept_by(counts), *map(escape, plan.notes)]))
    return f"{text}{LINK}[the plan]({page_of_plan(run.id)})."


def _retire_older(run: Run, plan: Plan) -> None:
    """Let older requests of the same cleanup expire. Raises `Stop` if it is this run's that is the older one."""
    for other, is_newer in _waiting_too(run):
        if is_newer:
            raise Stop(Outcome.EXPIRED, f"Run {other.id} has a newer plan of this cleanup, which waits for approval.")
        report = Report(
            outcome=Outcome.EXPIRED,
            message=f"Nobody has approved this run, and run {run.id} has a newer plan of this cleanup.",
            organization_id=plan.organization_id,
            flow_run_id=str(other.id),
        )
        with prefect() as server:
            ended = Failed(name=report.outcome.state_name, message=report.message)
            server.set_flow_run_state(other.id, ended)
        with log_if_it_fails("The report of an older run"):
            write_report(run_of(other, run.cleanup), report, plan.organization)


def _waiting_too(run: Run) -> list[tuple[FlowRun, bool]]:
    """Other runs of the deployment, with the same criteria, that wait for an approval; and whether they are newer."""
    waiting = {"deployment_id": {"any_": [run.deployment_id]}, "state": {"type": {"any_": [StateType.PAUSED]}}}
    with prefect() as server:
        mine = server.read_flow_run(run.id)
        found = server.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(waiting))
    alike = [each for each in found if each.id != run.id and _criteria(each) == _criteria(mine)]
    return [(each, _due(each) > _due(mine)) for each in alike]


def _criteria(found: FlowRun) -> tuple[object, object]:
    return found.parameters.get("match"), found.parameters.get("cleanup")


def _due(found: FlowRun) -> datetime:
    """When its plan is as of, to the microsecond: a run may have been scheduled for later, and started at once."""
    known = (plain(each) for each in (found.expected_start_time, found.start_time) if each)
    return min(known, default=datetime.now(UTC))
