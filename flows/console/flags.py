"""The flags of a cleanup, made from `Match`, `Keep` and `Limits`: what the models describe is the command line.

A flag that wasn't given must not count: it would replace what the deployment says. Cyclopts passes only those that
were.
"""

import functools
import inspect
import re
import types
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from cyclopts import Parameter
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flows.console.arguments import number, whole_number
from flows.console.help_layout import one_line_each
from flows.console.terminal import Usage
from tasks.criteria.policy import Keep, Limits, Match

Given = dict[str, dict[str, object]]
"""The flags that were given: ``{"match": {"status": ["Junk"]}}``. None, [] and {} turn a field off."""

MODELS: dict[str, type[BaseModel]] = {"match": Match, "keep": Keep, "limits": Limits}
_ONE_EACH = "Repeat a flag with … for several values."
_GROUPS = {
    "match": one_line_each("Match: the leads to delete", f"All that are set must hold. {_ONE_EACH}", 1),
    "keep": one_line_each("Keep: what protects a lead", f"Any one is enough. {_ONE_EACH}", 2),
    "limits": one_line_each("Limits: over one, the run stops", "", 3),
}
_ONE_LINE = {
    "match.smart-view": "Name or id of a Smart View for leads.",
    "match.s-query": "JSON from Close's Copy Filters: text, @FILE, or - for stdin.",
    "match.inactive-months": "Last communication, or else creation, is this many months ago.",
    "match.unreachable": "No contact has an e-mail address or a phone number.",
    "match.name-words": "Whole words in the lead's name: test never means Testudo.",
    "match.email-domains": "Any contact has an e-mail address at one of these domains.",
    "match.custom-fields": "Fields and values: --match.custom-fields.NAME VALUE, or JSON.",
    "match.allow-unknown-nodes": "Send parts of a query that this project doesn't know.",
    "keep.created-within-days": "Created within this many days; 0 is off.",
    "keep.communication-within-days": "Communication in this many days; 0 is off.",
    "keep.s-query": "JSON from Close's Copy Filters: text, @FILE, or - for stdin.",
    "keep.custom-fields": "Fields and values: --keep.custom-fields.NAME VALUE, or JSON.",
    "limits.max-share": "Stop above this share of all leads, from 21 on.",
    "limits.batch": "Plan at most this many, the oldest; the next run continues.",
    "limits.ramp": "Start small: 50 leads, then 500, then all.",
    "limits.max-wait-minutes": "How many minutes to wait for Close to finish.",
    "limits.max-late-hours": "Skip a run that starts later than this many hours.",
}
"""The help of the flags whose description in the form is too long for a line of 100 columns, or is written otherwise
here."""

_METAVARS: dict[Any, str] = {int: "N", float: "N", str: "TEXT", list[str]: "TEXT …"}
_CONVERTERS: dict[Any, Callable[..., Any]] = {int: whole_number, float: number}


def with_criteria(command: Callable[..., int]) -> Callable[..., int]:
    """*command*, which takes what was given as its first argument, with a flag for every field of the models."""
    signature = inspect.signature(command)
    _, *own = signature.parameters.values()
    flags = _flags()

    @functools.wraps(command)
    def wrapped(*arguments: object, **options: object) -> int:
        given: Given = {}
        for name in flags.keys() & options.keys():
            prefix, _, field = name.partition("__")
            given.setdefault(prefix, {})[field] = options.pop(name)
        return command(given, *arguments, **options)

    parameters = [*own, *(_parameter(name, *found) for name, found in flags.items())]
    # What cyclopts reads instead of the function itself.
    wrapped.__annotations__ = {each.name: each.annotation for each in parameters}
    vars(wrapped)["__signature__"] = signature.replace(parameters=parameters)
    return wrapped


def _flags() -> dict[str, tuple[str, FieldInfo]]:
    """The name of each flag as an argument, with the flag itself and the field it sets."""
    return {
        f"{prefix}__{name}": (f"{prefix}.{name.replace('_', '-')}", field)
        for prefix, model in MODELS.items()
        for name, field in model.model_fields.items()
    }


def _parameter(name: str, flag: str, field: FieldInfo) -> inspect.Parameter:
    kind = _kind(field.annotation)
    may_be_off = kind is bool or any(_kind(each) is types.NoneType for each in get_args(field.annotation))
    settings = Parameter(
        name=f"--{flag}",
        help=f"{_ONE_LINE.get(flag, field.description)}{_default(field)}",
        group=_GROUPS[flag.partition(".")[0]],
        metavar=_METAVARS.get(kind),
        show_default=False,
        allow_leading_hyphen=kind is str,  # "-" is stdin
        converter=_CONVERTERS.get(kind),
        negative=f"--no-{flag}" if may_be_off else (),
    )
    annotation = Annotated[Union[kind, None], settings]  # noqa: UP007 - kind is a value
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def check_custom_fields(words: Sequence[str]) -> None:
    """Raise `Usage` for a custom field among the command line's *words* that would be misread or silently lost."""
    from flows.console.documents import Unreadable, json_of

    for position, word in enumerate(words):
        found = re.match(r"--(match|keep)[.]custom-fields(?:[.]([^=]*))?(?:=(.*))?$", word, re.DOTALL)
        if not found:
            continue
        flag, name, value = f"--{found[1]}.custom-fields", found[2], found[3]
        if name and "." in name:
            raise Usage(f'{flag}: a name with a dot is written as JSON: {flag} \'{{"{name}": ["VALUE"]}}\'.')
        text = value if value is not None else "".join(words[position + 1 : position + 2])
        if name is None and text.lstrip().startswith("{"):
            try:
                json_of(text)
            except Unreadable as error:
                raise Usage(f"{flag} {error}.") from None


def _default(field: FieldInfo) -> str:
    match field.default:
        case None | False:
            return ""
        case True:
            return " On by default."
        case default:
            return f" {default} by default."


def _kind(annotation: Any) -> Any:
    """What the command line reads for a field: the check of the value is left to the model."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        return _kind(next(each for each in get_args(annotation) if _kind(each) is not types.NoneType))
    if get_origin(annotation) is list:
        return list[str]
    if get_origin(annotation) is dict:
        return str if get_args(annotation)[1] is Any else dict[str, list[str]]
    return annotation
