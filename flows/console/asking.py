"""Asking the person at the terminal: on stderr, so that stdout is the report's alone."""

import sys
from collections.abc import Callable

from flows.console.show import counts_of, sample_of
from flows.console.terminal import Usage, printable, say, say_table
from tasks.plan.model import Plan
from tasks.report.model import Report, of_plan
from tasks.runs.outcomes import Outcome
from tasks.runs.run_ids import is_whole


def somebody_is_there() -> bool:
    """Whether there is a person at the terminal who can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask_for_number(question: str) -> int | None:
    """The whole number that the person types; None for anything else."""
    typed = ask_for_text(question).replace(",", "")
    return int(typed) if typed.isdecimal() else None


def ask_whether(question: str, *, otherwise: str = "stops") -> bool:
    """Whether the person types yes. *otherwise* says what anything else does."""
    return ask_for_text(f"{question} Type yes; anything else {otherwise}:").lower() == "yes"


def ask_for_name(by: str | None, user: Callable[[], str]) -> str:
    """*by*, or else the name that the person types, or else the name of the *user* who is logged in."""
    if by is None and somebody_is_there():
        by = ask_for_text(f"Your name, for the report; Enter for {user()}:") or None
    return user() if by is None else by


def check_is_meant(text: str, run: str) -> None:
    """Raise `Usage` unless *text* is a whole id, or the person says that *run*, which begins with its id, is meant."""
    if is_whole(text):
        return
    if not somebody_is_there():
        raise Usage(f"For this, write the whole id: {text!r} is run {run}.")
    if not ask_whether(f"{text!r} is run {run}. Is it the one that you mean?"):
        raise Usage("Nothing was changed.")


def ask_for_text(question: str) -> str:
    """What the person types, without the blanks around it; empty if the terminal has gone."""
    say(question)
    try:
        return sys.stdin.readline().strip()
    except OSError:  # the terminal has gone
        return ""


def ask_for_approval(plan: Plan) -> int | None:
    """Show *plan*, and return the number of leads that the person types to approve it; None for anything else."""
    report = Report(outcome=Outcome.DRY_RUN, message="", **of_plan(plan))
    lines = ["", *counts_of(report), "", *sample_of(report)]
    say_table(lines)
    return ask_for_number(
        f"Type the number of leads planned to delete them in {printable(plan.organization)}; anything else stops:"
    )
