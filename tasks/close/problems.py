"""What is wrong with an input, in one sentence of ours: the place, and what to write there.

Pydantic says it in its own words ("Input should be …"), which are written for programmers.
"""

from collections.abc import Iterator, Mapping
from reprlib import Repr
from typing import Any, cast

from pydantic import ValidationError

from tasks.close.ids import LEAD_ID

SENTENCES: dict[str, str] = {
    "value_error": "{error}",
    "missing": "it is missing",
    "extra_forbidden": "there is no setting of this name; correct or remove it",
    "string_too_short": "it is empty; write what you mean, or leave it out",
    "too_short": "it is empty; write what you mean, or leave it out",
    "string_too_long": "write at most {max_length} characters",
    "too_long": "write at most {max_length} of them",
    "greater_than_equal": "write {ge} or more",
    "greater_than": "write more than {gt}",
    "less_than_equal": "write {le} or less",
    "less_than": "write less than {lt}",
    "literal_error": "write {expected}",
    "enum": "write {expected}",
    "recursion_loop": "it is nested too deeply",
}
"""What is wrong, by the type of pydantic's error, with what pydantic knows about it."""
INTEGER, NUMBER, LIST = "write a whole number without quotes", "write a number without quotes", "write a list"
SHAPES: dict[str, str] = {
    "string": "write text",
    "int": INTEGER,
    "float": NUMBER,
    "finite": NUMBER,
    "bool": "write true or false",
    "list": f"{LIST}, such as [A, B]",
    "tuple": f"{LIST}, such as [A, B]",
    "dict": 'write an object, such as {"name": "value"}',
    "model": 'write an object, such as {"name": "value"}',
}
"""What to write where a value is of the wrong kind, by the first word of the error's type: ``int_parsing``."""
OF_THE_WRONG_KIND = ("_type", "_parsing", "_from_float", "_parsing_size", "_number")
PATTERNS = {LEAD_ID: "write a lead's id, such as lead_AbC123", r"\S": SENTENCES["too_short"]}
ELSE = "it can't be read; compare it with the documentation"


LONGEST = 1_000
"""Characters of all that is wrong with an input, which may have thousands of wrong settings, or names as long."""

_short = Repr()
_short.maxstring = _short.maxlong = _short.maxother = 100


def quoted(value: object) -> str:
    """*value*, which a person wrote, as a message quotes it: as ``repr`` does, but long or deep values are cut."""
    return _short.repr(value)


def problems(error: ValidationError, document: object = None) -> str:
    """Return what is wrong with *document*, in one line without its values: ``inactive_months: write 1 or more``.

    A place leaves out the names of types that pydantic tried; without *document*, which these are is a guess.
    """
    found: dict[str, list[str]] = {}
    for each in error.errors(include_url=False, include_input=False):
        if each["type"] != "none_required":  # the other half of "a value or None"
            place = ".".join(_steps(each["loc"], document, missing=each["type"] == "missing"))
            found.setdefault(place, []).append(what_is_wrong(each["type"], each.get("ctx", {}), each["msg"]))
    said = "; ".join(f"{place}: {_joined(what)}" if place else _joined(what) for place, what in found.items())
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}…"


def _steps(location: tuple[int | str, ...], document: object, *, missing: bool) -> Iterator[str]:
    """The keys and indexes in *location*, without the names of types among them that pydantic tried."""
    guessed = document is None
    for number, step in enumerate(location):
        last = number == len(location) - 1
        if guessed:
            if not _is_kind(str(step), last=last):
                yield str(step)
            continue
        match document:
            case Mapping() if step in document or (last and missing):
                document = cast("Mapping[str | int, object]", document).get(step)
                yield str(step)
            case list() if isinstance(step, int):
                document = cast("list[object]", document)[step]
                yield str(step)
            case _:
                pass


def _is_kind(step: str, *, last: bool) -> bool:
    return "[" in step or "-" in step or (last and step in {"str", "int", "float", "bool"})


def what_is_wrong(kind: str, facts: Mapping[str, Any], message: str) -> str:
    """Return what is wrong at one place, from the type, the context and the message of pydantic's error."""
    if kind == "setting":  # ours, see `tasks.close.settings`
        return message
    if kind == "string_pattern_mismatch":
        return PATTERNS.get(facts["pattern"], ELSE)
    if kind in SENTENCES:
        plain = {key: int(fact) if fact in (0, 1) else fact for key, fact in facts.items()}  # not 1.0
        return SENTENCES[kind].format(**plain)
    return SHAPES.get(kind.partition("_")[0], ELSE) if kind.endswith(OF_THE_WRONG_KIND) else ELSE


def _joined(what: list[str]) -> str:
    """One sentence for one place. Where a value may be of several kinds, it names each."""
    kinds = dict.fromkeys(what)
    if other := next((each for each in kinds if each not in SHAPES.values()), None):
        return other
    if NUMBER in kinds:
        kinds.pop(INTEGER, None)
    first, *others = kinds
    return " or ".join([first, *(each.removeprefix("write ") for each in others)])
