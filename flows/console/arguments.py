"""Arguments that several commands take."""

from typing import Annotated

from cyclopts import Parameter


def switch(text: str, *, name: str | None = None, negative: str = "") -> Parameter:
    """A flag without a value, with *text* as its help; *negative* is the flag that turns it off, if there is one."""
    return Parameter(name=name, negative=negative or (), show_default=False, help=text)


RunName = Annotated[str, Parameter(help="Id of the run, or its name if no other run has it.")]
AsJson = Annotated[bool, switch("Print the report as one JSON object on stdout.", name="--json")]
