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

from cyclopts import Group, Parameter
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flows.console.arguments import number, whole_number
from flows.console.terminal import Usage
from tasks.criteria.policy import Keep, Limits, Match

Given = dict[str, dict[str, object]]
"""The flags that were given: ``{"match": {"status": ["Junk"]}}``. None, [] and {} turn a field off."""

MODELS: dict[str, type[BaseModel]] = {"match": Match, "keep": Keep, "limits": Limits}
_GROUPS = {
    "match": Group("Match: the leads to delete. All that are set must hold", sort_key=1),
    "keep": Group("Keep: what protects a lead. Any one is enough", sort_key=2),
    "limits": Group("Limits: over one, the run stops", sort_key=3),
}

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
        help=f"{field.description}{_usage(kind, flag)}{_default(field)}",
        group=_GROUPS[flag.partition(".")[0]],
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


def _usage(kind: Any, flag: str) -> str:
    if kind is str and flag.endswith("s-query"):
        return " Or @FILE, or - for stdin."
    if get_origin(kind) is list:
        return " Repeat it for several."
    return f" Written --{flag}.NAME VALUE, or as JSON." if get_origin(kind) is dict else ""


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
