"""``lead-cleanup run``: one cleanup, now, in this process."""

import os
from typing import Annotated

from cyclopts import Parameter

from flows.commands.flags import Given, with_criteria
from flows.commands.parameters import Parameters, build
from flows.commands.settings import settings_with_key
from flows.commands.terminal import INTERRUPTED, put, say
from tasks.outcomes import Outcome

FAILED = Outcome.FAILED.exit_code
NEEDS_SERVER = "Deleting needs a Prefect server, which keeps the record of what was started."


@with_criteria
def run(
    given: Given,
    cleanup: Annotated[str | None, Parameter(help="Name of a deployment in prefect.yaml; flags go over it.")] = None,
    /,
    *,
    dry_run: Annotated[
        bool,
        Parameter(
            negative="--no-dry-run", show_default=False, help="Plan only, which is the default; --no-dry-run deletes."
        ),
    ] = True,
    expect: Annotated[int | None, Parameter(help="Stop unless exactly this many leads are planned.")] = None,
    sample: Annotated[int | None, Parameter(help="How many planned leads to show by name. 25 by default.")] = None,
    time_zone: Annotated[str | None, Parameter(help="Where days begin, for local dates in queries.")] = None,
    as_json: Annotated[
        bool,
        Parameter(
            name="--json", negative=(), show_default=False, help="Print the report as one JSON object on stdout."
        ),
    ] = False,
) -> int:
    """Plan, and with --no-dry-run delete. Everything that can be wrong by itself is checked before Prefect starts."""
    parameters, notes = build(given, cleanup, dry_run=dry_run, expect=expect, sample=sample, time_zone=time_zone)
    settings = settings_with_key(block=True)
    for note in notes:
        say(f"Note: {note}")
    lasting = None if dry_run or settings.on_this_machine else NEEDS_SERVER
    return execute(parameters, cleanup, needs_server=lasting, as_json=as_json)


def execute(
    parameters: Parameters, cleanup: str | None, *, needs_server: str | None = None, as_json: bool = False
) -> int:
    """Run the flow, print its report, and give its exit code. *needs_server* says why a temporary server won't do."""
    # The temporary server reports its use to Prefect by default, and complains where there is no network.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    from flows.commands import engine
    from flows.commands.show import show

    engine.speak_plainly()
    execution = engine.Execution()
    try:
        engine.need_server(needs_server)
        report = execution.run(parameters, cleanup)
    except KeyboardInterrupt:
        say(_interrupted(parameters.dry_run, engine.bulk_delete_spoken_of()))
        return INTERRUPTED
    except engine.NoServer as error:
        say(str(error))
        return FAILED
    except engine.PREFECT_ERRORS as error:
        say(f"The Prefect server was lost while the run was under way ({error}). {_left(execution.run_id)}")
        return FAILED
    except engine.Defect as error:
        say(f"The run ended in a way that nobody foresaw: {error} {_left(execution.run_id)}")
        return FAILED
    if as_json:
        put(report.model_dump_json())
    else:
        show(report, engine.run_url(report.flow_run_id))
    return report.outcome.exit_code


def _left(run_id: object) -> str:
    return f"Look at run {run_id or 'in Prefect'}, and at the bulk deletes in Close, before you run it again."


def _interrupted(dry_run: bool, bulk_delete_id: str | None) -> str:
    if dry_run:
        return "Interrupted. Nothing was deleted."
    what = f"bulk delete {bulk_delete_id}" if bulk_delete_id else "a bulk delete, if it had begun one"
    return f"Interrupted. Close goes on with {what}: look at the bulk deletes in Close before you run this again."
