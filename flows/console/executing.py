"""Do something with Prefect, and print how it ended: every command that needs a Prefect server goes through here."""

import functools
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec

from flows.console.settings import turn_off_analytics
from flows.console.terminal import INTERRUPTED, TERMINATED, WRONG_USAGE, put, say
from tasks.close.errors import CloseError
from tasks.report.model import RunReport
from tasks.runs.outcomes import Outcome, Stop, outcome_of
from tasks.runs.setup import setup_problem

if TYPE_CHECKING:
    from flows.console.engine import Execution

FAILED = Outcome.FAILED.exit_code
P = ParamSpec("P")


class Terminated(BaseException):
    """Somebody sent SIGTERM, or the terminal hung up."""


def execute(
    act: Callable[["Execution"], RunReport | None],
    *,
    why_server: str | None = None,
    not_done: str = "",
    as_json: bool = False,
) -> int:
    """Do *act*, print the report it returns, if any, and return the exit code. An error is printed as one sentence.

    *why_server* says why a temporary Prefect server won't do. *not_done* says what didn't happen when Prefect refuses
    or can't be reached, such as "Nothing was stopped.". Ctrl-C cancels the run that is under way.
    """
    turn_off_analytics()
    if problem := setup_problem():
        say(f"{problem} {not_done}".rstrip())
        return WRONG_USAGE
    from flows.console import engine
    from flows.console.bars import can_draw, steps_shown
    from flows.console.show import show

    engine.speak_plainly()
    execution = engine.Execution()
    try:
        with _terminable(), steps_shown():
            engine.need_server(why_server)
            report = _unless_interrupted(execution, act)
    except (Stop, CloseError, *engine.PREFECT_ERRORS) as error:
        return _failed(execution, error, not_done)
    except (KeyboardInterrupt, Terminated) as error:
        say(_left_alone(execution))
        return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
    except engine.Defect as error:
        say(f"The run ended in a way that nobody foresaw: {error} {_left(execution)}")
        return FAILED
    if report is None:
        return 0
    if as_json:
        put(report.model_dump_json())
    else:
        earlier = engine.earlier_runs(report.flow_run_id) if can_draw() else []
        show(report, engine.run_url(report.flow_run_id), earlier)
    return report.outcome.exit_code


def at_server(why: str, not_done: str = "") -> Callable[[Callable[P, None]], Callable[P, int]]:
    """Make a command of a function that runs no flow. *why* and *not_done* as in `execute`."""

    def decorate(command: Callable[P, None]) -> Callable[P, int]:
        @functools.wraps(command)
        def wrapped(*arguments: P.args, **options: P.kwargs) -> int:
            return execute(lambda _: command(*arguments, **options), why_server=why, not_done=not_done)

        return wrapped

    return decorate


@contextmanager
def _terminable() -> Generator[None]:
    """A block in which SIGTERM raises `Terminated`; Prefect, while it runs a flow, first notes that the run crashed.

    A hang-up does the same, unless `nohup` has it ignored.
    """

    def terminate(*_: object) -> None:
        raise Terminated

    def hang_up(*_: object) -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it comes from the shell, and from the terminal as well
        signal.raise_signal(signal.SIGTERM)  # which Prefect handles

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, terminate)}
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, hang_up)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _unless_interrupted(execution: "Execution", act: Callable[["Execution"], RunReport | None]) -> RunReport | None:
    try:
        return act(execution)
    except KeyboardInterrupt:
        if execution.run_id is None:
            raise
        say("Interrupted: cancelling the run. Ctrl-C again leaves everything as it is.")
        return execution.cancel()


def _failed(execution: "Execution", error: Exception, not_done: str) -> int:
    """Print *error*, and what it means for what was asked; return the exit code."""
    from tasks.runs.connect import PrefectUnavailable, prefect_error

    if not isinstance(error, Stop | CloseError):
        error = prefect_error(error)
    meaning = ""
    if isinstance(error, PrefectUnavailable):
        maybe = "It isn't known whether that took effect: try again." if error.maybe_accepted else not_done
        meaning = _left(execution) if execution.has_begun else maybe
    say(f"{error} {meaning}".rstrip())
    if isinstance(error, Stop) and not execution.has_begun:
        return error.exit_code
    return outcome_of(error).exit_code


def _left(execution: "Execution") -> str:
    run = f"`lead-cleanup resume {execution.run_id}`" if execution.run_id else "A retry of the run in Prefect"
    return f"{run} continues what it may have started, and starts nothing twice."


def _left_alone(execution: "Execution") -> str:
    if execution.run_id is None:
        stays = " What is restored stays, and the same command restores the rest." if execution.has_begun else ""
        return f"Interrupted.{stays}"
    job = execution.bulk_delete_id
    what = f"Close continues bulk delete {job}" if job else "Nothing is known to have been started"
    return f"Interrupted. {what}. {_left(execution)}"
