"""prefect.yaml, read so that nothing it says is lost on the way to the server.

``prefect deploy`` drops a value that is a template which it can't resolve, and cuts such templates out of longer text,
without an error: a keep rule would be gone. Here they are refused. Schedules are taken out of what Prefect deploys,
since it activates those that a person has paused; see schedules.py.
"""

import math
import os
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from prefect import Flow
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.collections import get_from_dict
from prefect.utilities.templating import PlaceholderType, find_placeholders
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, create_model

from deployments.schedules import Schedule
from flows.console.documents import Unreadable, text_of, yaml_of
from tasks.close.problems import problems
from tasks.criteria.wording import did_you_mean

BLOCK = "close-api-key"
WITHOUT_KEY = ("overview", "cleanup-digest")
"""The flows that ask Prefect only, and not Close."""
STEPS = ("build", "push", "pull")
RESOLVED_LATER = (*STEPS, "triggers")
"""Parts of a deployment whose templates Prefect resolves later, from events and on the worker."""
Steps = list[dict[str, dict[str, Any] | None]]
Shape = TypeVar("Shape", bound=BaseModel)


class WorkPool(BaseModel):
    """Where a deployment's runs are executed."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(min_length=1)
    job_variables: dict[str, Any] | None = None


class WithSteps(BaseModel):
    """What Prefect does before it deploys, and before each run."""

    model_config = ConfigDict(extra="allow")

    build: Steps | None = None
    push: Steps | None = None
    pull: Steps | None = None

    @property
    def steps(self) -> frozenset[str]:
        """The ids of the steps, whose outputs Prefect puts into templates."""
        steps = [*(self.build or ()), *(self.push or ()), *(self.pull or ())]
        return frozenset(str(each["id"]) for step in steps for each in step.values() if each and "id" in each)


class Entry(WithSteps):
    """The shape of a deployment."""

    entrypoint: str = Field(min_length=1)
    work_pool: WorkPool
    tags: list[str] | None = None
    parameters: dict[str, Any] | None = None
    schedules: list[dict[str, Any]] | None = None
    paused: StrictBool | None = None


class Document(WithSteps):
    """The shape of the file."""

    deployments: list[dict[str, Any]] = Field(min_length=1)


@dataclass(frozen=True)
class Deployment:
    """A deployment of the file. *entry* is what Prefect deploys: plain JSON values, without the schedules."""

    flow: str
    block: str | None
    """The Secret block with its API key; None if its flow needs none."""
    takes: frozenset[str]
    """The names of the flow's parameters."""
    given: dict[str, Any]
    """The entry as it is written, from which those of organisations are generated."""
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


@dataclass(frozen=True)
class PrefectYaml:
    """The whole file, and the deployments that are generated beside those that it has."""

    shared: dict[str, Any]
    steps: frozenset[str]
    folder: Path
    deployments: tuple[Deployment, ...] = ()
    left_out: frozenset[str] = frozenset()
    """The full names of those that it has and that are not deployed, since organizations.yaml says so."""

    def with_entries(self, entries: Iterable[dict[str, Any]]) -> Self:
        """Add the deployments that *entries* are. Raises `Unreadable` if one can't be used, or has a name twice."""
        deployments = (*self.deployments, *(_deployment(each, self.steps, self.folder) for each in entries))
        names = [each.name for each in deployments]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise Unreadable(f"has two deployments called {twice}: rename one")
        return replace(self, deployments=deployments)

    @property
    def blocks(self) -> list[str]:
        """The Secret blocks with API keys that it names."""
        return sorted({each.block for each in self.deployments if each.block})

    def with_schedules_off(self) -> "PrefectYaml":
        """The same, in which no schedule is active."""
        off = (
            replace(each, schedules=tuple(one.model_copy(update={"active": False}) for one in each.schedules))
            for each in self.deployments
        )
        return replace(self, deployments=tuple(off))

    def document(self, *, paused: Set[str]) -> dict[str, Any]:
        """What Prefect deploys. It would resume deployments, unless it is told which are *paused*: full names."""
        entries = [each.entry | ({"paused": True} if each.full_name in paused else {}) for each in self.deployments]
        return {**self.shared, "deployments": entries}


def read(file: Path) -> PrefectYaml:
    """Return what *file* says. Raises `Unreadable` if something in it would be lost or refused, and names it."""
    whole = yaml_of(text_of(file))
    document = _shaped(Document, whole, "can't be used")
    shared = {key: value for key, value in cast("dict[str, Any]", whole).items() if key in ("name", *STEPS)}
    return PrefectYaml(shared, document.steps, file.parent).with_entries(document.deployments)


def _deployment(given: dict[str, Any], steps: frozenset[str], folder: Path) -> Deployment:
    name = given.get("name")
    if not isinstance(name, str) or not name or "/" in name:
        raise Unreadable("has a deployment without a name: write a name without slashes, such as name: junk")
    if "schedule" in given:
        raise Unreadable(f"has schedule in {name}: write a list called schedules")
    steps |= _shaped(Entry, given, f"has a deployment {name} that can't be used").steps
    try:
        plain = {key: _part(key, value, f"{name}.{key}", steps) for key, value in given.items()}
    except RecursionError:
        raise Unreadable(f"has something in {name} that contains itself") from None
    flow = _flow(name, f"{folder / plain['entrypoint']}")
    wrong = f"has a schedule of {name} that can't be used"
    entries = cast("list[dict[str, Any]]", plain.pop("schedules", None) or [])
    schedules = tuple(_shaped(Schedule, each, wrong) for each in entries)
    slugs = [each.slug for each in schedules]
    if twice := next((slug for slug in slugs if slugs.count(slug) > 1), None):
        raise Unreadable(f"has two schedules of {name} with the slug {twice!r}: rename one")
    takes = signature(flow.fn, eval_str=True).parameters
    found = Deployment(flow.name, _block(name, plain, flow.name), frozenset(takes), given, plain, schedules)
    _check_parameters(flow.name, takes, found.parameters, f"{name}.parameters")
    for each in schedules:
        place = f"{name}.schedules.{each.slug}.parameters"
        _check_parameters(flow.name, takes, found.parameters | each.parameters, place)
    return found


def _block(name: str, entry: dict[str, Any], flow: str) -> str | None:
    if flow in WITHOUT_KEY:
        return None
    block: object = get_from_dict(entry, "work_pool.job_variables.env.CLOSE_API_KEY_BLOCK", BLOCK)
    if not isinstance(block, str) or not re.fullmatch(r"[a-z0-9-]+", block):
        raise Unreadable(f"has a CLOSE_API_KEY_BLOCK in {name} that is no block's name: use a-z, 0-9 and dashes")
    return block


def _shaped(shape: type[Shape], given: object, otherwise: str) -> Shape:
    """*given* in its *shape*. Raises `Unreadable` with *otherwise*, the place, and what to write there."""
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        raise Unreadable(f"{otherwise}: {problems(error, given)}") from None


@cache
def _flow(name: str, entrypoint: str) -> "Flow[..., Any]":
    try:
        # A flow that can't be imported would be deployed all the same, with parameters guessed from its text.
        return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except (Exception, SystemExit) as error:  # any that the module raises when it is imported
        raise Unreadable(f"has an entrypoint in {name} that can't be loaded ({type(error).__name__})") from error


def _check_parameters(flow: str, takes: Mapping[str, Parameter], parameters: dict[str, Any], place: str) -> None:
    """Raise `Unreadable` for a parameter that the flow doesn't take, or not so: its runs would be refused."""
    for unknown in parameters.keys() - takes.keys():
        raise Unreadable(f"has {unknown} in {place}, which {flow} doesn't take{did_you_mean(unknown, takes)}")
    given: dict[str, Any] = {name: (_kind(takes[name]), ...) for name in parameters}
    try:
        create_model("Parameters", **given).model_validate(parameters)
    except ValidationError as error:
        raise Unreadable(f"has {place} that can't be used: {problems(error, parameters)}") from None


def _kind(parameter: Parameter) -> Any:
    return Any if parameter.annotation is Parameter.empty else parameter.annotation


def _part(key: str, value: object, place: str, steps: frozenset[str]) -> Any:
    return value if key in RESOLVED_LATER else _plain(value, place, steps if key == "work_pool" else frozenset[str]())


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
        raise Unreadable(f"has text in {place} that can't be stored: remove its NUL, or its half of a surrogate pair")
    return text


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
