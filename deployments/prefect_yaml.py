"""prefect.yaml, read so that nothing it says is lost on the way to the server.

``prefect deploy`` drops a value that is a template which it can't resolve, and cuts such templates out of longer text,
without an error: a keep rule would be gone. Here they are refused. Schedules are taken out of what Prefect deploys,
since it activates those that a person has paused; see schedules.py.
"""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, cast

from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.collections import get_from_dict
from prefect.utilities.templating import PlaceholderType, find_placeholders
from pydantic import ValidationError

from deployments.schedules import Schedule
from flows.console.documents import Unreadable, text_of, yaml_of
from tasks.close.problems import problems

BLOCK = "close-api-key"
STEPS = ("build", "push", "pull")
RESOLVED_LATER = (*STEPS, "triggers")
"""Parts of a deployment whose templates Prefect resolves later, from events and on the worker."""


@dataclass(frozen=True)
class Deployment:
    """A deployment of the file. *entry* is what Prefect deploys: plain JSON values, without the schedules."""

    flow: str
    entry: dict[str, Any]
    schedules: tuple[Schedule, ...]

    @property
    def name(self) -> str:
        """The name within its flow, such as ``junk``."""
        return self.entry["name"]

    @property
    def full_name(self) -> str:
        """The name on the server, such as ``lead-cleanup/junk``."""
        return f"{self.flow}/{self.name}"

    @property
    def parameters(self) -> dict[str, Any]:
        """Its parameters."""
        return self.entry.get("parameters") or {}

    @property
    def block(self) -> str:
        """The Secret block with its API key."""
        return get_from_dict(self.entry, "work_pool.job_variables.env.CLOSE_API_KEY_BLOCK", BLOCK)


@dataclass(frozen=True)
class PrefectYaml:
    """The whole file."""

    shared: dict[str, Any]
    deployments: tuple[Deployment, ...]

    @property
    def without_schedules(self) -> dict[str, Any]:
        """The document that Prefect deploys."""
        return {**self.shared, "deployments": [each.entry for each in self.deployments]}


def read(file: Path) -> PrefectYaml:
    """Return what *file* says. Raises `Unreadable` if something in it would be lost, and names it."""
    document = yaml_of(text_of(file))
    if not isinstance(document, dict):
        raise Unreadable("has no list called deployments, each with a name")
    whole = cast("dict[str, Any]", document)
    try:
        entries = {str(entry["name"]): entry for entry in whole["deployments"]}
    except (KeyError, TypeError):
        raise Unreadable("has no list called deployments, each with a name") from None
    if len(entries) != len(whole["deployments"]):
        raise Unreadable("has two deployments of one name: rename one")
    shared = {name: whole[name] for name in ("name", "prefect-version", *STEPS) if name in whole}
    return PrefectYaml(shared, tuple(_deployment(name, entry, whole, file.parent) for name, entry in entries.items()))


def _deployment(name: str, entry: dict[str, Any], whole: dict[str, Any], folder: Path) -> Deployment:
    for part in ("schedules", *STEPS):
        if not isinstance(entry.get(part) or whole.get(part) or [], list):
            raise Unreadable(f"has {part} in {name} that is not a list: write each on a line with a dash")
    if not isinstance(entry.get("parameters") or {}, dict):
        raise Unreadable(f"has parameters in {name} that are not names with values")
    if not entry.get("entrypoint"):
        raise Unreadable(f"has no entrypoint in {name}: write FILE:FUNCTION")
    if "schedule" in entry:
        raise Unreadable(f"has schedule in {name}: write a list called schedules")
    steps = frozenset(_steps(entry, whole))
    plain = {
        key: value
        if key in RESOLVED_LATER
        else _plain(value, f"{name}.{key}", steps if key == "work_pool" else frozenset[str]())
        for key, value in entry.items()
    }
    schedules = tuple(_schedules(name, plain.pop("schedules", None) or []))
    try:
        flow = _flow(f"{folder / plain['entrypoint']}")
    except Exception as error:  # whatever the module raises when it is imported
        raise Unreadable(f"has an entrypoint in {name} that can't be loaded ({type(error).__name__})") from error
    return Deployment(flow, plain, schedules)


@cache
def _flow(entrypoint: str) -> str:
    # A flow that can't be imported would be deployed all the same, with parameters guessed from its text.
    return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False).name


def _schedules(name: str, entries: list[dict[str, Any]]) -> Iterator[Schedule]:
    slugs: set[str] = set()
    for entry in entries:
        try:
            schedule = Schedule.model_validate(entry)
        except ValidationError as error:
            raise Unreadable(f"has a schedule of {name} that can't be used: {problems(error, entry)}") from None
        if schedule.slug in slugs:
            raise Unreadable(f"has two schedules of {name} with the slug {schedule.slug!r}: rename one")
        slugs.add(schedule.slug)
        yield schedule


def _steps(entry: Mapping[str, Any], whole: Mapping[str, Any]) -> Iterator[str]:
    """The ids of the steps whose outputs Prefect puts into templates."""
    for part in STEPS:
        steps = cast("list[dict[str, dict[str, Any]]]", entry.get(part) or whole.get(part) or [])
        yield from (str(options["id"]) for step in steps for options in step.values() if "id" in (options or {}))


def _plain(value: object, place: str, steps: frozenset[str]) -> Any:
    """Return *value* as JSON has it, with ``{{ $NAME }}`` from the environment. Raises `Unreadable` for what has none.

    Templates of *steps* stay for Prefect to resolve.
    """
    match value:
        case None | bool() | int():
            return value
        case float() if math.isfinite(value):
            return value
        case date():
            return value.isoformat()
        case str():
            return _resolved(value, place, steps)
        case list():
            items = cast("list[object]", value)
            return [_plain(item, f"{place}.{number}", steps) for number, item in enumerate(items)]
        case dict():
            pairs = cast("dict[object, object]", value)
            if wrong := next((key for key in pairs if not isinstance(key, str)), None):
                raise Unreadable(f"has the key {wrong!r} in {place}, which is not text: put it in quotes")
            return {key: _plain(each, f"{place}.{key}", steps) for key, each in pairs.items()}
        case _:
            raise Unreadable(f"has a value in {place} that JSON can't hold: write text, a number, a list or an object")


def _resolved(text: str, place: str, steps: frozenset[str]) -> str:
    for placeholder in find_placeholders(text):
        if placeholder.type is PlaceholderType.ENV_VAR and (found := os.environ.get(placeholder.name[1:])) is not None:
            text = text.replace(placeholder.full_match, found)
    left = [each for each in find_placeholders(text) if each.name.partition(".")[0] not in steps]
    if left:
        raise Unreadable(
            f"has {left[0].full_match} in {place}, which nothing resolves: "
            "write the value, or {{ $NAME }} with NAME in the environment"
        )
    if not _is_text(text):
        raise Unreadable(f"has text in {place} that can't be stored: remove its half of a character or its NUL")
    return text


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
