"""What Prefect calls a run: as a person has named it, or else after what it does.

Nothing records who named a run, and each begins with a made-up name. That is known by its form, and everything else was
typed by a person, and stays. Of these forms are the names that are made up by

- the server, for the API, schedules and command lines: one of coolname's adjectives, and an animal (happy-otter);
- the form in the older UI: a Greek letter, maybe with a number, and maybe names of stars (alpha51-marijne);
- the form in the newer UI: one of seventeen adjectives, and an animal of up to six letters (Awesome-Bear).
"""

import re
from typing import Any, cast

from coolname.data import config
from prefect.runtime import flow_run

from tasks.runs.parameters import wrong_in

GREEK = (
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|omicron|pi|rho|sigma|tau|upsilon|phi|chi|"
    "psi|omega"
)
ADJECTIVE = (
    "Awesome|Rustic|Small|Gorgeous|Fantastic|Sleek|Intelligent|Unbranded|Refined|Licensed|Generic|Practical|Ergonomic|"
    "Handcrafted|Tasty|Handmade|Incredible"
)
OF_A_FORM = re.compile(rf"(?:{GREEK})\d{{0,4}}(?:-[a-z-]*)?|(?:{ADJECTIVE})-[A-Z].{{0,5}}")


def typed_or(name: str) -> str:
    """What a person has named the current run, or else *name*."""
    given = str(flow_run.get_name() or "")
    return name if not given or is_made_up(given) else given


def restore_name() -> str:
    """What Prefect calls a restore: its mode, unless a person has named it."""
    return typed_or(f"restore: {mode}" if (mode := mode_of_run()) else "restore")


def mode_of_run() -> str:
    """Why the current run changes nothing; empty if it may."""
    parameters: dict[str, object] = flow_run.get_parameters()
    return "refused" if wrong_in(parameters) else "dry run" if parameters.get("dry_run", True) else ""


def is_made_up(name: str) -> bool:
    """Whether Prefect has made up this *name* of a run, by the form that it has."""
    first, _, last = name.partition("-")
    return OF_A_FORM.fullmatch(name) is not None or (first in _words("") and last in _words("animal"))


def _words(prefix: str) -> set[str]:
    """The words of coolname's lists whose names begin with *prefix*."""
    lists = cast("dict[str, dict[str, Any]]", config)
    return {word for name, each in lists.items() if name.startswith(prefix) for word in each.get("words", ())}
