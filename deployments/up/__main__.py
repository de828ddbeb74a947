"""``make up``: a Prefect server, a worker and a stand-in for Close, deployments, and a first dry run to look at.

``make up REAL=1`` does the same with the organisation of an API key. Nothing is imported here that imports Prefect,
which reads its settings then: first, `environment` says which these are.
"""

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, Parameter

from deployments.up import environment, processes
from deployments.up.environment import Place
from deployments.up.real import Real, confirm
from flows.console.arguments import whole_number
from flows.console.streams import survive_without_reader
from flows.console.terminal import WRONG_USAGE, Usage, put, say
from tasks.runs.setup import setup_problem

if TYPE_CHECKING:
    from deployments.sandbox.server import Sandbox

LEADS = 1000
LEADS_PER_SECOND = 10  # slow enough to suspend or cancel a run meanwhile

app = App(
    name="make up",
    help="Start all that a cleanup needs on this machine, with a stand-in for Close.",
    suppress_keyboard_interrupt=False,  # else it exits here, and without a word
)


@app.default
def up(
    *,
    real: Annotated[bool, Parameter(help="Your own organisation in Close instead (make up REAL=1).")] = False,
    port: Annotated[
        int, Parameter(converter=whole_number, help="The port of the Prefect server (make up PORT=4201).")
    ] = 4200,
) -> int:
    """Start everything, until Ctrl-C. Returns the exit code."""
    chosen = confirm() if real else None
    with ExitStack() as stack:
        place = Place(environment.folder(chosen.organization.id if chosen else "sandbox"), port)
        stack.enter_context(environment.alone_in(place))
        if chosen is None:
            close = stack.enter_context(_sandbox(place))
            environment.enter(environment.of_sandbox(place, close.url), place)
            put(f"A stand-in for Close is at {close.url}, with a made-up organisation. Whatever .env says isn't used.")
        else:
            environment.enter(environment.of_organization(place, chosen.organization.id), place)
        if problem := setup_problem():
            raise Usage(problem)
        return _with_prefect(place, chosen)


def _sandbox(place: Place) -> "Sandbox":
    from deployments.sandbox.server import Sandbox

    database = place.folder / "close.sqlite"
    try:
        return Sandbox(leads=LEADS, leads_per_second=LEADS_PER_SECOND, database=database, rate_limits=False)
    except ValueError as error:
        raise Usage(f"{error}.") from None


def _with_prefect(place: Place, real: Real | None) -> int:
    with processes.server(place) as server:
        try:
            return _deployed(place, real, server)
        except KeyboardInterrupt:
            put("\nStopping …")
            raise


def _deployed(place: Place, real: Real | None, server: processes.Process) -> int:
    from deployments.up.deployed import Deployed, PrefectUnavailable  # this imports Prefect, while its server starts

    deployed = Deployed(place, real)
    server.wait_until_it_answers()
    if code := deployed.deploy():
        return code
    with processes.worker(place) as worker:
        try:
            deployed.dry_run((server, worker))
            deployed.show()
            return processes.wait_for_the_end_of_one((server, worker))
        except KeyboardInterrupt:
            deployed.show_what_is_left()
            raise
        except PrefectUnavailable as error:
            raise processes.Ended(f"{error} So everything is stopped.") from None


def main() -> int:
    """Start everything, and stop it again. Returns the exit code."""
    processes.stop_on_signals()
    try:
        return app(sys.argv[1:], exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, Usage) as error:
        say(str(error))
    except processes.Ended as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("Everything is stopped.")
        return 0
    return WRONG_USAGE


survive_without_reader()
sys.exit(main())
