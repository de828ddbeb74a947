"""Arguments that several commands take."""

from typing import Annotated

from cyclopts import Parameter

RunName = Annotated[str, Parameter(help="Id of the run, or its name if no other run bears it.")]
AsJson = Annotated[
    bool,
    Parameter(name="--json", negative=(), show_default=False, help="Print the report as one JSON object on stdout."),
]
