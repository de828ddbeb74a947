"""The parameters of a run: a deployment's, overridden by flags, checked before anything is sent anywhere."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from flows.console.cleanups import parameters_of
from flows.console.flags import Given
from flows.console.terminal import Usage
from tasks.close.problems import problems
from tasks.criteria.policy import Approval, Expected, Keep, Limits, Match, Sample, TimeZone
from tasks.plan.overrides import approval_loosened, rules_dropped


class Parameters(BaseModel):
    """What `flows.lead_cleanup` takes, without its name; a test holds the two together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: Match
    keep: Keep = Keep()
    limits: Limits = Limits()
    dry_run: bool = True
    approval: Approval = "never"
    backup: bool = True
    expect: Expected = None
    sample: Sample = 25
    time_zone: TimeZone = "UTC"


def build(given: Given, cleanup: str | None, **options: object) -> tuple[Parameters, list[str]]:
    """The parameters of *cleanup* with what was *given* and the *options* that aren't None; and notes on lost rules.

    Fields are merged one by one; lists replace lists. A deployment's ``dry_run`` doesn't count: only
    ``--no-dry-run`` deletes. Raises `Usage` if anything is wrong with them.
    """
    deployed = dict(parameters_of(cleanup)) if cleanup else {}
    merged: dict[str, Any] = {"match": {}, **deployed, "dry_run": True}
    merged.update((name, value) for name, value in options.items() if value is not None)
    for prefix, fields in given.items():
        merged[prefix] = _over(merged.get(prefix) or {}, prefix, fields)
    try:
        parameters = Parameters.model_validate(merged)
        rules = rules_dropped(Keep.model_validate(deployed.get("keep") or {}), parameters.keep) if cleanup else []
    except ValidationError as error:
        raise Usage(f"{f'Cleanup {cleanup}: ' if cleanup else ''}{problems(error)}.") from None
    return parameters, rules + approval_loosened(deployed.get("approval", "never"), parameters.approval)


def _over(base: Mapping[str, object], prefix: str, fields: Mapping[str, object]) -> dict[str, object]:
    off = [name for name, value in fields.items() if value is None or value in ([], {})]
    read = {
        name: document(f"--{prefix}.s-query", value) if name == "s_query" and isinstance(value, str) else value
        for name, value in fields.items()
    }
    return {**base, **read, **dict.fromkeys(off)}


def document(flag: str, text: str) -> dict[str, object]:
    """The JSON object that *text* is, or that the file ``@NAME`` or stdin (``-``) holds."""
    source = _contents(flag, text)
    try:
        found = cast("object", json.loads(source))
    except ValueError as error:
        raise Usage(f"{flag} is not JSON ({error}): paste the text of Close's Copy Filters in single quotes.") from None
    if not isinstance(found, dict):
        raise Usage(f"{flag} is JSON, but not an object: paste the text of Close's Copy Filters.")
    return cast("dict[str, object]", found)


def _contents(flag: str, text: str) -> str:
    if text == "-":
        return sys.stdin.read()
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"{flag}: the file {text[1:]} can't be read ({error}).") from None
