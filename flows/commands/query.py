"""``lead-cleanup query``: what a cleanup would ask of Close, to read, to compare, or to paste into a search."""

import json
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from flows.console.flags import Given, with_criteria
from flows.console.parameters import Parameters, build
from flows.console.settings import close_settings, settings_with_key
from flows.console.terminal import Usage, put, say
from tasks.close.errors import CloseError, WrongEnvironment
from tasks.close.query.nodes import to_json
from tasks.criteria.names import Names
from tasks.criteria.selection import Criteria
from tasks.plan.account import Needed
from tasks.runs.outcomes import Stop, outcome_of


@with_criteria
def query(
    given: Given,
    cleanup: Annotated[str | None, Parameter(help="Name of a deployment in prefect.yaml.")] = None,
    /,
    *,
    time_zone: Annotated[str | None, Parameter(help="Where days begin, for local dates in queries.")] = None,
) -> int:
    """Print the query, with now as its cut-off."""
    parameters, notes, _ = build(given, cleanup, time_zone=time_zone)
    for note in notes:
        say(f"Note: {note}")
    try:
        names = _names(parameters)
        criteria = Criteria(parameters.match, parameters.keep, datetime.now(UTC), parameters.time_zone)
        selection = criteria.select(names)
    except WrongEnvironment as error:
        raise Usage(str(error)) from None
    except (Stop, CloseError) as error:
        say(str(error))
        return outcome_of(error).exit_code
    put(json.dumps(to_json(selection.planned()), indent=2))
    return 0


def _names(parameters: Parameters) -> Names:
    needed = Needed.by(parameters.match, parameters.keep, close_settings().keep_smart_view)
    if needed.nothing:
        return Names()
    from tasks.close.client import CloseClient

    with CloseClient(settings_with_key()) as close:
        statuses = close.lead_statuses()
        close.organization_id(statuses)  # refuses the key of another organisation than expected
        return needed.read(close, statuses)
