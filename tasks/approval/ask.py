"""A person's approval, requested between the plan and the start.

A run of a deployment suspends itself: its process ends, and once somebody has answered, it begins again and makes a new
plan. The request is in the key of the suspended state, the answer among the run's inputs; an approval is for the query
that was shown and for no more leads. A run without a deployment asks at the terminal that started it.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NoReturn
from uuid import UUID, uuid4

from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, FlowRunInput, State, StateType
from prefect.exceptions import Abort, Pause, PrefectHTTPStatusError
from prefect.input import RunInput
from prefect.input.run_input import Keyset, keyset_from_base_key
from prefect.states import Failed, Suspended
from prefect.utilities.engine import propose_state_sync
from pydantic import Field, StringConstraints, ValidationError

from tasks.criteria.policy import Keep, Limits, Match, most_without_approval
from tasks.plan.model import Approved, Plan
from tasks.plan.overrides import is_loosened
from tasks.report.artifacts import page_of_plan, write_report
from tasks.report.ending import emit_end
from tasks.report.escaping import escape, kept_by
from tasks.report.model import Report
from tasks.runs import events
from tasks.runs.attempts import BY_EXPIRY, states_of
from tasks.runs.connect import PREFECT_ERRORS, plain, prefect, prefect_error
from tasks.runs.logs import log_if_it_fails
from tasks.runs.outcomes import Outcome, Refused, Stop
from tasks.runs.own_state import current_state
from tasks.runs.run import Run, run_of
from tasks.runs.user import user
from tasks.runs.wording import counted

logger = logging.getLogger(__name__)

EXPIRES_AFTER = timedelta(hours=72)
"""After this, Prefect accepts no answer and fails the run. Shortly before, deployments/automations.yaml restarts it,
so that it ends itself as expired."""
ASKED = "approval-asked"
"""The event of a run after which that automation waits. A person may suspend a run too, and then nothing was asked."""

CANT_WAIT = "This run can't wait for its approval, and nothing was deleted"
CONFLICT = 409  # HTTP

ask_here: Callable[[Plan], int | None] | None = None
"""Asks at the terminal for the number of leads; set by the command line, if there is a terminal."""


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
    note: str = Field(default="", max_length=500, title="Note", description="Why, if you like: kept in the report.")

    @classmethod
    def save(cls, keyset: Keyset, flow_run_id: UUID | None = None) -> None:
        """Store the form, unless it is stored already: Prefect's client repeats requests that got no answer."""
        try:
            super().save(keyset, flow_run_id)
        except PrefectHTTPStatusError as error:
            if error.response.status_code != CONFLICT:
                raise


@dataclass(frozen=True)
class Request:
    """What a person is to approve: a number of leads, and the digest of their query."""

    planned: int
    digest: str
    nonce: str
    """Makes the key unique: Prefect accepts a key once in a run, and the same request may be repeated."""

    @classmethod
    def read(cls, state: State[Any]) -> "Request | None":
        """The request in the key of *state*; None if it isn't a suspended state, or not one of ours."""
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
        """Whether *plan* has the query that was shown, and no more leads."""
        return self.digest in {plan.digest, plan.digest_by_0_1} and plan.counts.planned <= self.planned


def require_approval(run: Run, plan: Plan, approval: str, expect: int | None) -> Plan:
    """*plan* with its approval, if the setting *approval* requires one.

    Until it is approved, a run of a deployment suspends itself here, by raising an exception of Prefect's. For other
    runs *expect*, which equals the number planned, is an approval. Raises `Stop`: declined, expired, refused.
    """
    if plan.counts.planned <= most_without_approval(approval):
        return plan
    given = _given_here(plan, expect) if run.deployment_id is None else _given(run, plan) or _suspend(run, plan)
    logger.info("Approved: %s.", counted(given.leads, "lead"))
    return plan.model_copy(update={"approved": given})


def _given_here(plan: Plan, expect: int | None) -> Approved:
    planned = plan.counts.planned
    plan_has = f"The plan has {counted(planned, 'lead')}"
    if expect is None and ask_here is None:
        raise Refused(
            f"{plan_has}, which somebody must approve: run it at a terminal, or with --expect {planned} if that is the "
            "number you want."
        )
    typed = ask_here(plan) if expect is None and ask_here else expect
    if typed != planned:
        raise Stop(Outcome.DECLINED, f"{plan_has}, but {'no number' if typed is None else f'{typed:,}'} was typed.")
    return Approved(leads=planned, by=user(), at=datetime.now(UTC))


def _given(run: Run, plan: Plan) -> Approved | None:
    """The answer to the run's latest request, if it approves *plan*. Raises `Stop`."""
    request, since = last_request(states_of(run))
    if request is None:
        return None
    given = _answered(run.id, request)
    # A retry of a run that a wrong number or expiry has ended makes a new request.
    open_still = not any(state.is_final() and not state.is_crashed() for state in since)
    leads = counted(request.planned, "lead")
    if given is None:
        if open_still and any(state.message == BY_EXPIRY for state in since):
            raise Stop(
                Outcome.EXPIRED, f"Nobody approved the plan to delete {leads} within {EXPIRES_AFTER.days * 24} hours."
            )
        return None
    if given.leads != request.planned:
        if open_still:
            raise Stop(Outcome.DECLINED, f"{given.by} answered {given.leads:,}, but the plan had {leads}.")
        return None
    if not request.covers(plan):
        logger.warning("The plan has changed since it was approved: requesting another approval.")
        return None
    return given


def last_request(states: Iterable[State[Any]]) -> tuple[Request | None, Sequence[State[Any]]]:
    """The latest request in the history of a run, if there was one, and the states since."""
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
    """The run's input with this key."""
    with prefect() as server:
        found = server.filter_flow_run_input(run_id, key_prefix=key, limit=1, exclude_keys=set())
    return found[0] if found else None


def _suspend(run: Run, plan: Plan) -> NoReturn:
    _retire_older(run, plan)
    request = Request(plan.counts.planned, plan.digest, uuid4().hex)
    message = f"Waits for approval: {counted(request.planned, 'lead')}"
    waits = Suspended(message=message, timeout_seconds=int(EXPIRES_AFTER.total_seconds()), pause_key=request.key)
    waits.state_details.run_input_keyset = {**request.inputs}
    try:
        with prefect() as server:  # not by `suspend_flow_run`, whose state has no message
            state = propose_state_sync(server, waits, run.id)
        if state.is_paused():  # only now: Prefect deletes what is stored for a form when the run is suspended
            Answer.with_initial_data(description=_describe(run, plan)).save(request.inputs, run.id)
    except PREFECT_ERRORS as error:
        raise prefect_error(error) from error
    except Abort as error:  # for example, Prefect has marked it crashed though it is alive
        raise Stop(Outcome.FAILED, f"{CANT_WAIT}: {error}") from error
    if not state.is_paused():
        raise Stop(Outcome.FAILED, f"{CANT_WAIT}: it is {state.name}.")
    with log_if_it_fails("Announcing the request, without which Prefect fails it after 72 hours without a report,"):
        events.send(run, ASKED, plan.counts.model_dump())
    logger.info("%s. Resume on this page, or `lead-cleanup approve %s`, answers.", message, str(run.id)[:8])
    raise Pause(state=state)


def _describe(run: Run, plan: Plan) -> str:
    """The text above the form's fields, in markdown: numbers and a link, and no names of leads. First what matters."""
    loosened = [f"**{escape(note)}**" for note in plan.remarks if is_loosened(note)]
    notes = [escape(note) for note in plan.remarks if not is_loosened(note)]
    link = f"[The plan]({page_of_plan(run.id)}) has a sample of them, and the query."
    criteria = f"Criteria, in {escape(plan.organization)}: {escape(plan.criteria)}"
    return "\n\n".join(filter(None, [str(plan.counts), link, *loosened, criteria, kept_by(plan.counts), *notes]))


def _retire_older(run: Run, plan: Plan) -> None:
    """Expire older requests of the same cleanup. Raises `Stop` if another run's is newer than this one's."""
    for other, is_newer in _waiting_too(run):
        if is_newer:
            raise Stop(Outcome.EXPIRED, f"Run {other.id} waits for approval with a newer plan of this cleanup.")
        report = Report(
            outcome=Outcome.EXPIRED,
            message=f"Nobody approved this run, and run {run.id} has a newer plan of this cleanup.",
            organization_id=plan.organization_id,
            flow_run_id=str(other.id),
        )
        if not _withdraw(other, run):
            logger.info("Run %s was answered meanwhile.", other.id)
            continue
        with prefect() as server:
            server.set_flow_run_state(other.id, Failed(name=report.outcome.state_name, message=report.message))
        with log_if_it_fails("Publishing the report of an older run"):
            write_report(retired := run_of(other, run.cleanup), report, plan.organization)
            emit_end(retired, report)


def _withdraw(other: FlowRun, run: Run) -> bool:
    """Answer the request of *other* with no leads, so that nobody else can; return whether it still waits.

    A request has one answer, and Prefect stores it and resumes the run in one transaction: somebody who approves it at
    this moment either comes first, or gets an error.
    """
    request = _request_of(other.id)
    if request is None:
        return False
    declined = Answer(leads=0, approver=f"run {run.id}", note="It has a newer plan of this cleanup.")
    with prefect() as server:
        try:
            server.create_flow_run_input(other.id, request.inputs["response"], declined.model_dump_json())
        except PrefectHTTPStatusError as error:
            if error.response.status_code != CONFLICT:
                raise
    return _request_of(other.id) == request


def _request_of(run_id: UUID) -> Request | None:
    return Request.read(state) if (state := current_state(run_id)) else None


def _waiting_too(run: Run) -> list[tuple[FlowRun, bool]]:
    """Other runs of the deployment that wait for approval of the same, each with whether it is newer."""
    waiting = {"deployment_id": {"any_": [run.deployment_id]}, "state": {"type": {"any_": [StateType.PAUSED]}}}
    with prefect() as server:
        this = server.read_flow_run(run.id)
        found = server.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(waiting))
    asking = [other for other in found if other.id != run.id and other.state and Request.read(other.state)]
    return [(each, _due(each) > _due(this)) for each in asking if _asked_for(each) == _asked_for(this)]


def _asked_for(flow_run: FlowRun) -> object:
    """All parameters that decide what a request shows, with the defaults of those that were left out."""
    given: dict[str, Any] = {"keep": {}, "limits": {}, "time_zone": "UTC", "cleanup": None, **flow_run.parameters}
    try:
        match, keep = Match.model_validate(given["match"]), Keep.model_validate(given["keep"])
        limits = Limits.model_validate(given["limits"])
    except (KeyError, ValidationError):
        return flow_run.id  # an earlier version's: like no other
    return match.model_dump(), keep.model_dump(), limits.model_dump(), given["time_zone"], given["cleanup"]


def _due(flow_run: FlowRun) -> datetime:
    """The instant of its cut-off, to the microsecond: a run scheduled for later may have started at once."""
    return min(map(plain, filter(None, (flow_run.expected_start_time, flow_run.start_time))), default=datetime.now(UTC))
