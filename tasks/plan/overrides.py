"""What a run's own parameters take away from the care of its deployment. Pure."""

from collections.abc import Mapping
from typing import Any, cast

from tasks.criteria.policy import Keep, Limits, most_without_approval


def rules_dropped(deployed: Keep | None, keep: Keep) -> list[str]:
    """Notes on keep rules that the deployment has and this run lacks or weakens.

    Prefect replaces parameters whole, so that overriding one rule of ``keep`` in a run silently drops the others.
    """
    return [
        f"keep.{name} of the deployment ({value}) does not hold in this run."
        for name, value in (deployed.model_dump(exclude_none=True) if deployed else {}).items()
        if value and _weaker(getattr(keep, name), value)
    ]


def limits_loosened(deployed: Limits, limits: Limits) -> list[str]:
    """Notes on limits of the deployment that this run doesn't have, or has wider: they too are replaced whole."""
    wider = [name for name in ("max_leads", "max_share") if getattr(limits, name) > getattr(deployed, name)]
    if deployed.batch and (limits.batch is None or limits.batch > deployed.batch):
        wider.append("batch")
    if deployed.ramp and not limits.ramp:
        wider.append("ramp")
    return [f"limits.{name} of the deployment ({getattr(deployed, name)}) does not hold in this run." for name in wider]


def approval_loosened(deployed: str, approval: str) -> list[str]:
    """A note if the deployment would have a person asked, and this run wouldn't."""
    if most_without_approval(approval) <= most_without_approval(deployed):
        return []
    return [f"approval of the deployment ({deployed}) does not hold in this run."]


def _weaker(ours: object, theirs: object) -> bool:
    match ours, theirs:
        case bool(), bool():
            return not ours and theirs
        case int(), int():
            return ours < theirs
        case list(), list():
            wanted, held = cast("list[object]", theirs), cast("list[object]", ours)
            return any(each not in held for each in wanted)
        case dict(), dict() if all(isinstance(each, list) for each in cast("dict[str, object]", theirs).values()):
            rules, ruled = cast("dict[str, object]", theirs), cast("dict[str, object]", ours)
            return any(_weaker(ruled.get(name), values) for name, values in rules.items())
        case _:
            return ours != theirs


def weakened(deployed: Mapping[str, Any], keep: Keep, limits: Limits, approval: str) -> list[str]:
    """What this run lacks of the care of its deployment."""
    if not deployed:
        return []
    return [
        *rules_dropped(Keep.model_validate(deployed.get("keep") or {}), keep),
        *limits_loosened(Limits.model_validate(deployed.get("limits") or {}), limits),
        *approval_loosened(deployed.get("approval", "never"), approval),
    ]
