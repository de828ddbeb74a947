"""Doing something with Prefect, and saying how it went: every command that needs a Prefect server ends here."""

import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.console.terminal import INTERRUPTED, TERMINATED, put, say
from tasks.close.errors import CloseError
from tasks.report.model import RunReport
from tasks.runs.outcomes import Outcome, Stop, outcome_of

if TYPE_CHECKING:
    from flows.console.engine import Execution

FAILED = Outcome.FAILED.exit_code


class Terminated(BaseException):
    """Somebody sent SIGTERM."""


def execute(
    act: Callable[["Execution"], RunReport | None], *, needs_server: str | None = None, as_json: bool = False
) -> int:
    """Do *act*, print the report it gives, if any, and give the exit code. Whatever goes wrong is a sentence.

    *needs_server* says why a temporary Prefect server won't do. Ctrl-C cancels the run that is under way.
    """
    # The temporary server reports its use to Prefect by default, and complains where there is no network.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    from flows.console import engine
    from flows.console.show import show

    engine.speak_plainly()
    execution = engine.Execution()
    try:
        with _terminable():
            engine.need_server(needs_server)
            report = _unless_interrupted(execution, act)
    except (Stop, CloseError, KeyboardInterrupt, Terminated, *engine.ENDS) as error:
        sentence, code = _how_it_ended(execution, error)
        say(sentence)
        return code
    if report is None:
        return 0
    if as_json:
        put(report.model_dump_json())
    else:
        show(report, engine.run_url(report.flow_run_id))
    return report.outcome.exit_code


def at_server(act: Callable[[], RunReport | None], why: str, *, as_json: bool = False) -> int:
    """The same for what runs no flow. *why* says why a temporary Prefect server won't do."""
    return execute(lambda _: act(), needs_server=why, as_json=as_json)


def _how_it_ended(execution: "Execution", error: BaseException) -> tuple[str, int]:
    """What to say, and the exit code, when there is no report."""
    from flows.console import engine

    match error:
        case Stop() | CloseError():
            return str(error), outcome_of(error).exit_code
        case KeyboardInterrupt():
            return _left_alone(execution), INTERRUPTED
        case Terminated():
            return _left_alone(execution), TERMINATED
        case engine.NoServer():
            return str(error), FAILED
        case engine.Defect():
            return f"The run ended in a way that nobody foresaw: {error} {_left(execution)}", FAILED
        case _:
            lost = f"The Prefect server was lost while the run was under way ({error})."
            return f"{lost} {_left(execution)}", FAILED


@contextmanager
def _terminable() -> Generator[None]:
    """A block in which SIGTERM raises `Terminated`; Prefect, while it runs a flow, first notes that the run crashed."""

    def terminate(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _unless_interrupted(execution: "Execution", act: Callable[["Execution"], RunReport | None]) -> RunReport | None:
    try:
        return act(execution)
    except KeyboardInterrupt:
        if execution.run_id is None:
            raise
        say("Interrupted: cancelling the run. Ctrl-C again leaves everything as it is.")
        return execution.cancel()


def _left(execution: "Execution") -> str:
    run = f"`lead-cleanup resume {execution.run_id}`" if execution.run_id else "Look for the run in Prefect, which"
    return f"{run} goes on with what it may have started, and starts nothing twice."


def _left_alone(execution: "Execution") -> str:
    if execution.run_id is None:
        return "Interrupted."
    job = execution.bulk_delete_id
    what = f"Close goes on with bulk delete {job}" if job else "Nothing is known to have been started"
    return f"Interrupted. {what}. {_left(execution)}"
