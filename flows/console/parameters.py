"""The parameters of a run: a deployment's, overridden by flags, checked before anything is sent anywhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from flows.console.flags import Given
from flows.console.terminal import Usage
from tasks.close.problems import problems
from tasks.criteria.policy import Approval, Expected, Keep, Limits, Match, Sample, Switch, TimeZone
from tasks.plan.overrides import weakened
from tasks.runs.wording import with_full_stop


class Parameters(BaseModel):
    """What `flows.lead_cleanup` takes, without its name; a test holds the two together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: Match
    keep: Keep = Keep()
    limits: Limits = Limits()
    backup: Switch = True
    sample: Sample = 25
    time_zone: TimeZone = "UTC"
    expect: Expected = None
    approval: Approval = "never"
    dry_run: Switch = True


def build(
    given: Given, cleanup: str | None, **options: object
) -> tuple[Parameters, list[str], Mapping[str, Any] | None]:
    """The parameters of *cleanup* with what was *given* and the *options* that aren't None.

    Also returns notes on what these weaken, and the parameters of the deployment itself, None without one.
    Fields are merged one by one; lists replace lists. A deployment's ``dry_run`` doesn't count: only
    ``--no-dry-run`` deletes. Raises `Usage` if anything is wrong with them.
    """
    deployed = _deployed(cleanup) if cleanup else None
    merged: dict[str, Any] = {"match": {}, **(deployed or {}), "dry_run": True}
    merged.update((name, value) for name, value in options.items() if value is not None)
    for prefix, fields in given.items():
        merged[prefix] = _over(merged.get(prefix), prefix, fields)
    try:
        parameters = Parameters.model_validate(merged)
        notes = weakened(deployed, parameters.keep, parameters.limits, parameters.approval)
    except ValidationError as error:
        raise Usage(with_full_stop(f"{f'Cleanup {cleanup}: ' if cleanup else ''}{problems(error, merged)}")) from None
    return parameters, notes, deployed


def _deployed(cleanup: str) -> Mapping[str, Any]:
    from flows.console.cleanups import parameters_of

    return parameters_of(cleanup)


def _over(base: object, prefix: str, fields: Mapping[str, object]) -> dict[str, object]:
    if base and not isinstance(base, Mapping):
        raise Usage(f"{prefix} in prefect.yaml is {base!r}; write its settings with their values, each on a line.")
    off = [name for name, value in fields.items() if value is None or value in ([], {})]
    read = {
        name: document(f"--{prefix}.s-query", value) if name == "s_query" and isinstance(value, str) else value
        for name, value in fields.items()
    }
    return {**cast("Mapping[str, object]", base or {}), **read, **dict.fromkeys(off)}


def document(flag: str, text: str) -> dict[str, object]:
    """The JSON object that *text* is, or that the file ``@NAME`` or stdin (``-``) holds."""
    from flows.console.documents import Unreadable, json_of, text_of, text_of_stdin

    where, advice = flag, "paste the text of Close's Copy Filters in single quotes"
    try:
        if text == "-":
            where, advice = f"{flag}: stdin", "send the text of Close's Copy Filters"
            text = text_of_stdin()
        elif text.startswith("@"):
            where, advice = f"{flag}: the file {text[1:]}", "save the text of Close's Copy Filters in it"
            text = text_of(Path(text[1:]))
        found = json_of(text)
    except Unreadable as error:
        raise Usage(f"{where} {error}{f'; {advice}' if 'is not JSON' in str(error) else ''}.") from None
    if not isinstance(found, dict):
        raise Usage(f"{where} is JSON, but not an object; {advice}.")
    return cast("dict[str, object]", found)
