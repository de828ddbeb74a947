"""Where a run's own parameters are less careful than those of its deployment. Pure."""

import json
from collections.abc import Mapping
from textwrap import shorten
from typing import Any, cast

from pydantic import BaseModel, ConfigDict

from tasks.criteria.policy import Approval, Keep, Limits, most_without_approval

LOOSENED = "Less careful than its deployment: "
LONGEST_VALUE = 200  # characters


class Guards(BaseModel):
    """What protects leads among the parameters of a deployment."""

    model_config = ConfigDict(defer_build=True)

    keep: Keep = Keep()
    limits: Limits = Limits()
    approval: Approval = "never"


def rules_dropped(deployed: Keep, keep: Keep) -> list[str]:
    """Notes on keep rules that the deployment has and this run lacks or weakens.

    Prefect replaces parameters whole, so that overriding one rule of ``keep`` in a run silently drops the others.
    """
    rules = [(name, value, getattr(keep, name)) for name, value in deployed.model_dump(exclude_none=True).items()]
    return [_note(f"keep.{name}", theirs, ours) for name, theirs, ours in rules if theirs and _weaker(ours, theirs)]


def limits_loosened(deployed: Limits, limits: Limits) -> list[str]:
    """Notes on limits of the deployment that this run lacks or loosens: Prefect replaces them whole, too."""
    numbers = ("max_leads", "max_share", "max_late_hours")
    wider = [name for name in numbers if getattr(limits, name) > getattr(deployed, name)]
    if deployed.batch and (limits.batch is None or limits.batch > deployed.batch):
        wider.append("batch")
    if deployed.ramp and not limits.ramp:
        wider.append("ramp")
    return [_note(f"limits.{name}", getattr(deployed, name), getattr(limits, name)) for name in wider]


def approval_loosened(deployed: str, approval: str) -> list[str]:
    """A note if this run deletes more without an approval than the deployment would."""
    looser = most_without_approval(approval) > most_without_approval(deployed)
    return [_note("approval", deployed, approval)] if looser else []


def is_loosened(note: str) -> bool:
    """Whether *note* is one of these."""
    return note.startswith(LOOSENED)


def _note(setting: str, theirs: object, ours: object) -> str:
    words = setting.rpartition(".")[2].replace("_", " ")
    return f"{LOOSENED}{words} {_as_written(ours)} instead of {_as_written(theirs)} ({setting})."


def _as_written(value: object) -> str:
    match value:
        case bool() | None:
            return "on" if value else "off"
        case int():
            text = f"{value:,}"
        case list():
            text = ", ".join(map(str, cast("list[object]", value)))
        case dict():
            text = json.dumps(value, ensure_ascii=False)
        case _:
            text = str(value)
    return shorten(text, LONGEST_VALUE, placeholder=" …")


def _weaker(ours: object, theirs: object) -> bool:
    match ours, theirs:
        case bool(), bool():
            return not ours and theirs
        case int(), int():
            return ours < theirs
        case list(), list():
            return any(each not in cast("list[object]", ours) for each in cast("list[object]", theirs))
        case dict(), dict() if all(isinstance(each, list) for each in cast("dict[str, object]", theirs).values()):
            rules = cast("dict[str, object]", ours)
            return any(_weaker(rules.get(name), each) for name, each in cast("dict[str, object]", theirs).items())
        case _:
            return ours != theirs


def weakened(deployed: Mapping[str, Any] | None, keep: Keep, limits: Limits, approval: str) -> list[str]:
    """Notes on every rule, limit and approval of the deployment that this run lacks or weakens.

    *deployed* has the deployment's parameters; None for a run without one. Raises ValidationError if one is invalid.
    """
    if deployed is None:
        return []
    theirs = Guards.model_validate({name: value for name, value in deployed.items() if value is not None})
    return [
        *rules_dropped(theirs.keep, keep),
        *limits_loosened(theirs.limits, limits),
        *approval_loosened(theirs.approval, approval),
    ]
