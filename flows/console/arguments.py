"""Arguments that several commands take."""

import re
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter, Token


def switch(text: str, *, name: str | None = None, negative: str = "") -> Parameter:
    """A flag without a value, with *text* as its help; *negative* is the flag that turns it off, if there is one."""
    return Parameter(name=name, negative=negative or (), show_default=False, help=text)


def whole_number(_: object, tokens: Sequence[Token]) -> int:
    """The whole number that was written: cyclopts would read 1.5 as 2."""
    if re.fullmatch(r"[+-]?\d{1,18}", tokens[0].value) is None:
        raise ValueError("write a whole number, such as 12.")
    return int(tokens[0].value)


def number(_: object, tokens: Sequence[Token]) -> float:
    """The number that was written."""
    if re.fullmatch(r"[+-]?(\d{1,18}(\.\d*)?|\.\d+)", tokens[0].value) is None:
        raise ValueError("write a number, such as 0.05.")
    return float(tokens[0].value)


RunName = Annotated[str, Parameter(help="Id of the run, its first eight digits or more, or its name.")]
AsJson = Annotated[bool, switch("Print the report as one JSON object on stdout.", name="--json")]
