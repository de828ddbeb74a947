"""``lead-cleanup approve``: say yes, by the number of leads, to a run that waits for it."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Column

from flows.console.arguments import whole_number
from flows.console.asking import ask_for_name, ask_for_number, ask_for_text, somebody_is_there
from flows.console.executing import at_server
from flows.console.show import table
from flows.console.terminal import Usage, put, say, say_table
from tasks.runs.run_ids import begins
from tasks.runs.user import user
from tasks.runs.wording import MINUTE

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

KEEPS_WAITING = "Nothing was answered; the run keeps waiting."


@at_server("The run that waits for an approval is on a Prefect server.", "Nothing was answered.")
def approve(
    run: Annotated[
        str | None,
        Parameter(
            help="Id of the run, its first eight digits or more, or its name. You are asked if you leave it out."
        ),
    ] = None,
    /,
    *,
    leads: Annotated[
        int | None,
        Parameter(
            converter=whole_number,
            help="How many leads are to be deleted, as planned. You are asked if you leave it out.",
        ),
    ] = None,
    by: Annotated[
        str | None, Parameter(help="Your name, for the report. You are asked; elsewhere it is your login name.")
    ] = None,
    note: Annotated[str, Parameter(show_default=False, help="Why, kept in the report.")] = "",
) -> None:
    """Answer the run's request. Raises `Stop` if that was the wrong number."""
    from pydantic import ValidationError

    from tasks.approval import answer
    from tasks.approval.ask import Answer
    from tasks.close.problems import problems

    if (run is None or leads is None) and not somebody_is_there():
        if run is None and (waiting := answer.waiting()):
            _list(waiting)
        raise Usage("Say which run, and how many leads its plan has: lead-cleanup approve RUN --leads N.")
    found = answer.look_up_waiting(run) if run else _choose(answer.waiting())
    if found is None:
        return
    request = answer.waits_for(found)
    if leads is None:
        for line in [f"Run {found.name}:", *filter(None, answer.described(found, request).splitlines())]:
            say(line)
    name = ask_for_name(by, user)
    number = _ask() if leads is None else leads
    try:
        given = Answer(leads=number, approver=name, note=note)
    except ValidationError as error:
        raise Usage(f"{problems(error)}.") from None
    answer.answer(found, request, given)
    put(f"Run {found.id} is approved; a worker continues it.")


def _choose(waiting: "list[FlowRun]") -> "FlowRun | None":
    """The one of those *waiting* that the person picks; None if there are none."""
    if not waiting:
        put("No run waits for an approval.")
        return None
    _list(waiting)
    text = ask_for_text("Which one? Type its number in this list, or its id; anything else stops:")
    chosen = [each for number, each in enumerate(waiting, 1) if text == str(number) or begins(each.id, text)]
    if len(chosen) != 1:
        raise Usage(KEEPS_WAITING)
    return chosen[0]


def _list(waiting: "list[FlowRun]") -> None:
    from tasks.approval.ask import Request
    from tasks.runs.connect import plain

    asked = [(each, each.state, Request.read(each.state)) for each in waiting if each.state]
    rows = [
        (str(number), f"{request.planned:,}", f"{plain(state.timestamp):{MINUTE}}", str(each.id)[:8], each.name)
        for number, (each, state, request) in enumerate(asked, 1)
        if request
    ]
    say_table(table(rows, "", Column("leads", justify="right"), "waits since", "run", "name"))


def _ask() -> int:
    number = ask_for_number("To approve, type the number of leads; another number declines the run:")
    if number is None:
        raise Usage(f"That is no number. {KEEPS_WAITING}")
    return number
