"""Asking the person at the terminal: on stderr, so that stdout is the report's alone."""

import sys

from flows.console.show import counts_of, sample_of
from flows.console.terminal import printable, say
from tasks.plan.model import Plan
from tasks.report.model import Report, of_plan
from tasks.runs.outcomes import Outcome


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
    print(*lines, sep="\n", end="\n\n", file=sys.stderr, flush=True)  # noqa: T201
    return ask_for_number(
        f"Type the number of leads planned to delete them in {printable(plan.organization)}; anything else stops:"
    )
