"""What is said to people about their input: what it asks for, what is wrong with it, which name they may have meant."""

import json
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import cast

from pydantic import BaseModel, ValidationError

FEW = 15  # names, which can all be listed
LONG = 200  # characters of a setting
SCALARS = {"str", "int", "float", "bool"}


def in_words(name: str, settings: BaseModel) -> Iterator[str]:
    """The *settings* that are on, each as people write it: ``match.status Junk, Bad Fit``."""
    for key, value in settings.model_dump(mode="json", exclude_none=True).items():
        if value is True:
            yield f"{name}.{key}"
        elif value:
            said = ", ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else json.dumps(value)
            yield f"{name}.{key} {said if len(said) <= LONG else said[:LONG] + '…'}"


def problems(error: ValidationError) -> str:
    """What is wrong, as one line: ``inactive_months: Input should be greater than or equal to 1``. Shows no values."""
    lines: dict[str, str] = {}
    for each in error.errors(include_url=False, include_input=False):
        if each["type"] == "none_required":  # the other half of "a value, or nothing"
            continue
        steps = [str(step) for step in each["loc"]]
        if steps and steps[-1] in SCALARS:  # one of several types a value may have: the first says enough
            steps.pop()
        place = ".".join(step for step in steps if not re.search(r"[\[-]", step))
        message = each["msg"].removeprefix("Value error, ")
        lines.setdefault(place, f"{place}: {message}" if place else message)
    return "; ".join(lines.values())


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that refuses *name*: the nearest of the *known* names, or all of them if few."""
    names = sorted(set(known))
    spellings = {each.lower(): each for each in names}
    nearest = [spellings[each] for each in get_close_matches(name.lower(), spellings, n=3, cutoff=0.5)]
    if nearest:
        return f"; did you mean {' or '.join(map(repr, nearest))}?"
    return f"; there are {', '.join(map(repr, names))}." if 0 < len(names) <= FEW else ""
