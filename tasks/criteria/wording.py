"""Messages to people about their input: what it selects, and which name they may have meant."""

import json
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import cast

from pydantic import BaseModel

FEW = 15  # names: all are listed
LONG = 200  # characters of a setting


def in_words(name: str, settings: BaseModel) -> Iterator[str]:
    """The *settings* that are set, each as people write it: ``match.status Junk, Bad Fit``."""
    for key, value in settings.model_dump(mode="json", exclude_none=True).items():
        if value is True:
            yield f"{name}.{key}"
        elif value:
            text = ", ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else json.dumps(value)
            yield f"{name}.{key} {text if len(text) <= LONG else text[:LONG] + '…'}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that rejects *name*: the nearest of the *known* names, or all if there are few."""
    names = sorted(set(known))
    spellings = {each.lower(): each for each in names}
    nearest = [spellings[each] for each in get_close_matches(name.lower(), spellings, n=3, cutoff=0.5)]
    if nearest:
        return f"; did you mean {' or '.join(map(repr, nearest))}?"
    return f"; there are {', '.join(map(repr, names))}." if 0 < len(names) <= FEW else ""
