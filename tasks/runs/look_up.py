"""The run that a person means, by its id, by the beginning of its id, or by its name."""

from bisect import bisect_left
from collections.abc import Collection, Sequence

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from tasks.runs.connect import prefect
from tasks.runs.outcomes import Refused
from tasks.runs.run_ids import begins, is_beginning, is_whole, last_that_begins

FLOW = "lead-cleanup"
FLOWS = (FLOW, "restore-leads")


def look_up(text: str, flows: Collection[str] = (FLOW,)) -> FlowRun:
    """The run of one of *flows* that *text* names. Raises `Refused` if there is none, or several."""
    if is_whole(text):
        return _with_id(text, flows)
    of_flows = FlowFilter.model_validate({"name": {"any_": list(flows)}})
    named = FlowRunFilter.model_validate({"name": {"any_": [text]}})
    with prefect() as server:
        found = server.read_flow_runs(flow_filter=of_flows, flow_run_filter=named, limit=2)
        if is_beginning(text):
            found += _beginning_with(server, text, of_flows)
    return only(text, found)


def only(text: str, found: Sequence[FlowRun]) -> FlowRun:
    """The one run *found* for *text*. Raises `Refused` if there is none, or several."""
    runs = {each.id: each for each in found}
    if len(runs) > 1:
        raise Refused(f"Several runs are called {text!r} or have an id that begins so: write the whole id.")
    if not runs:
        raise Refused(f"There is no run {text!r}.")
    return next(iter(runs.values()))


def described(run: FlowRun) -> str:
    """Its whole id, its name and its state."""
    return f"{run.id} ({run.name}; {run.state_name or 'without a state'})"


def means(text: str, run: FlowRun) -> bool:
    """Whether *text* is the name of the *run*, its id, or the beginning of its id."""
    return text == run.name or begins(run.id, text)


def _with_id(text: str, flows: Collection[str]) -> FlowRun:
    with prefect() as server:
        with_id = FlowRunFilter.model_validate({"id": {"any_": [text]}})
        found = only(text, server.read_flow_runs(flow_run_filter=with_id))
        flow = server.read_flow(found.flow_id)
    if flow.name not in flows:
        raise Refused(f"Run {text} is not a run of {' or '.join(flows)}, but of {flow.name!r}.")
    return found


def _beginning_with(server: SyncPrefectClient, text: str, of_flows: FlowFilter) -> list[FlowRun]:
    """The runs whose id begins as *text* does, two at most.

    Prefect can't filter by that, but sort by it: the first is found by halves, in one request for each.
    """

    def runs_from(position: int, limit: int = 1) -> list[FlowRun]:
        return server.read_flow_runs(flow_filter=of_flows, sort=FlowRunSort.ID_DESC, offset=position, limit=limit)

    def is_reached(position: int) -> bool:
        return all(each.id.hex <= last_that_begins(text) for each in runs_from(position))

    first = bisect_left(range(server.count_flow_runs(flow_filter=of_flows)), True, key=is_reached)
    return [each for each in runs_from(first, 2) if begins(each.id, text)]
