"""``lead-cleanup approve``: say yes, by the number of leads, to a run that waits for it."""

from typing import Annotated

from cyclopts import Parameter

from flows.console.arguments import RunName, whole_number
from flows.console.asking import ask_for_number, somebody_is_there
from flows.console.executing import at_server
from flows.console.terminal import Usage, put, say
from tasks.runs.user import user


@at_server("The run that waits for an approval is on a Prefect server.", "Nothing was answered.")
def approve(
    run: RunName,
    /,
    *,
    leads: Annotated[
        int | None,
        Parameter(
            converter=whole_number,
            help="How many leads are to be deleted, as planned. You are asked if you leave it out.",
        ),
    ] = None,
    by: Annotated[str | None, Parameter(help="Your name, kept in the report; your login name by default.")] = None,
    note: Annotated[str, Parameter(show_default=False, help="Why, kept in the report.")] = "",
) -> None:
    """Answer the run's request. Raises `Stop` if that was the wrong number."""
    from pydantic import ValidationError

    from tasks.approval import answer
    from tasks.approval.ask import Answer
    from tasks.bulk_delete import resume
    from tasks.close.problems import problems

    if leads is None and not somebody_is_there():
        raise Usage("Say how many leads are planned: --leads N.")
    found = resume.look_up(run)
    request = answer.waits_for(found)
    number = leads if leads is not None else _ask(found.name, answer.described(found, request))
    try:
        given = Answer(leads=number, approver=user() if by is None else by, note=note)
    except ValidationError as error:
        raise Usage(f"{problems(error)}.") from None
    answer.answer(found, request, given)
    put(f"Run {found.id} is approved; a worker continues it.")


def _ask(name: str, plan: str) -> int:
    for line in [f"Run {name}:", *filter(None, plan.splitlines())]:
        say(line)
    number = ask_for_number("Type the number of leads to approve that; another number declines it:")
    if number is None:
        raise Usage("That is no number: nothing was answered, and the run keeps waiting.")
    return number
