"""Messages to people about their input: what it selects, and which name they may have meant."""

import json
from collections.abc import Iterable
from difflib import get_close_matches
from typing import cast

from pydantic import BaseModel

FEW = 15  # names: all are listed
LONG = 200  # characters of a setting


def in_words(settings: BaseModel) -> dict[str, str]:
    """The *settings* that are set, by name, in the words of the form: ``Lead status: Junk, Bad Fit``."""
    words: dict[str, str] = {}
    for key, value in settings.model_dump(mode="json", exclude_none=True).items():
        title = type(settings).model_fields[key].title or key
        if value is True:
            words[key] = title
        elif value:
            text = _values(value)
            text = text if len(text) <= LONG else f"{text[:LONG]}…"
            words[key] = title.replace("…", text) if "…" in title else f"{title}: {text}"
    return words


def _values(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, cast("list[object]", value)))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that rejects *name*: the nearest of the *known* names, or all if there are few."""
    names = sorted(set(known))
    spellings = {each.lower(): each for each in names}
    nearest = [spellings[each] for each in get_close_matches(name.lower(), spellings, n=3, cutoff=0.5)]
    if nearest:
        return f"; did you mean {' or '.join(map(repr, nearest))}?"
    return f"; there are {', '.join(map(repr, names))}." if 0 < len(names) <= FEW else ""
