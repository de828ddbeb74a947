"""organizations.yaml: which organisations there are, and which cleanups of prefect.yaml each of them gets.

Each becomes a deployment ``<cleanup>-<organisation>``, generated in memory from the cleanup's entry in prefect.yaml.
Its job variables name the organisation's Secret block and id: a run with another organisation's key is refused before
it plans. Without the file there is no organisation but that of prefect.yaml.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Self, cast

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, ValidationError, model_validator

from deployments.prefect_yaml import Deployment, PrefectYaml
from flows.console.documents import Unreadable, text_of, yaml_of
from tasks.close.problems import problems, quoted
from tasks.close.settings import CloseSettings, settings_problem
from tasks.criteria.policy import TimeZone
from tasks.criteria.wording import did_you_mean
from tasks.runs.run import ORGANIZATION, ORGANIZATION_NAME

FILE = Path("deployments") / "organizations.yaml"
"""Where it is, beside prefect.yaml."""
BY_FIELD = {
    "CLOSE_API_KEY_BLOCK": "write it as secret_block",
    "CLOSE_ORGANIZATION_ID": "write it as organization_id",
    "CLOSE_API_KEY": "keep it in the Secret block: here it would be stored in clear",
    "CLOSE_ACCESS_TOKEN": "keep an API key in the Secret block: here it would be stored in clear",
}
"""Settings that aren't written as such, and what to do instead."""
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SETTINGS = [f"CLOSE_{name.upper()}" for name in CloseSettings.model_fields]


def _slug(text: str) -> str:
    if not SLUG.fullmatch(text):
        raise ValueError(f"{quoted(text)} can't be used: write a-z, 0-9 and dashes, such as acme-inc")
    return text


def _id(text: str) -> str:
    if not re.fullmatch(rf"{ORGANIZATION}\w+", text, re.ASCII):
        raise ValueError(f"{quoted(text)} is not an organisation's id: write it as Close shows it, {ORGANIZATION}…")
    return text


def _settings(given: dict[str, str]) -> dict[str, str]:
    for name in given:
        if name in BY_FIELD:
            raise ValueError(f"{name} can't be among them: {BY_FIELD[name]}")
        if name not in SETTINGS:
            raise ValueError(f"{quoted(name)} is not a setting{did_you_mean(name, SETTINGS)}")
    return given


Slug = Annotated[str, AfterValidator(_slug)]


class Override(BaseModel):
    """What an organisation wants otherwise than prefect.yaml. Settings of a parameter are merged one by one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parameters: dict[str, Any] = Field(default_factory=dict[str, Any])
    schedules: list[dict[str, Any]] | None = None
    """In place of all those that the cleanup has."""


class Organization(BaseModel):
    """An organisation of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Slug
    organization_id: Annotated[str, AfterValidator(_id)]
    secret_block: Slug
    time_zone: TimeZone
    cleanups: list[str] = Field(min_length=1)
    overrides: dict[str, Override] = Field(default_factory=dict[str, Override])
    settings: Annotated[dict[str, str], AfterValidator(_settings)] = Field(default_factory=dict[str, str])
    """CLOSE_… of its runs, such as the Smart View that is always kept."""

    @model_validator(mode="before")
    @classmethod
    def _usual_block(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        entry = cast("dict[str, Any]", given)
        return {"secret_block": f"close-api-key-{entry.get('name')}", **entry}

    @model_validator(mode="after")
    def _overrides_what_it_has(self) -> Self:
        for twice in (each for each in self.cleanups if self.cleanups.count(each) > 1):
            raise ValueError(f"cleanups has {quoted(twice)} twice: remove one")
        for unknown in self.overrides.keys() - set(self.cleanups):
            raise ValueError(f"overrides has {quoted(unknown)}, which is not among its cleanups: add it there")
        return self

    @property
    def tags(self) -> list[str]:
        """The tags of its deployments, and so of their runs."""
        return [f"{ORGANIZATION_NAME}{self.name}", self.organization_id]

    def close_settings(self) -> CloseSettings:
        """The settings of its runs, without a key. Raises ValidationError."""
        own: dict[str, Any] = {name.removeprefix("CLOSE_").lower(): value for name, value in self.settings.items()}
        return CloseSettings(**own, organization_id=self.organization_id, api_key=None, access_token=None)


class Organizations(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deploy_prefect_yaml: StrictBool = True
    """Whether the deployments of prefect.yaml are deployed as they are too. What needs no key always is."""
    organizations: list[Organization] = Field(default_factory=list[Organization])


def read(file: Path) -> Organizations:
    """Return what *file* says; nothing if it isn't there. Raises `Unreadable`."""
    if not file.exists():
        return Organizations()
    document = yaml_of(text_of(file))
    try:
        found = Organizations.model_validate(_without_nothing(document))
        for each in found.organizations:
            _check_settings(each)
    except ValidationError as error:
        raise Unreadable(f"can't be used: {_by_name(problems(error, document), document)}") from None
    for what, values in {
        "organisations called": [each.name for each in found.organizations],
        "organisations with the id": [each.organization_id for each in found.organizations],
        "organisations with the Secret block": [each.secret_block for each in found.organizations],
    }.items():
        if twice := next((each for each in values if values.count(each) > 1), None):
            raise Unreadable(f"has two {what} {twice}: remove or change one")
    return found


def _by_name(said: str, document: object) -> str:
    """What is *said* of the *document*, with the names of organisations in place of their numbers."""
    listed = cast("dict[str, Any]", document).get("organizations") if isinstance(document, dict) else None
    for number, entry in enumerate(cast("list[Any]", listed) if isinstance(listed, list) else []):
        name = cast("dict[str, Any]", entry).get("name") if isinstance(entry, dict) else None
        if isinstance(name, str) and SLUG.fullmatch(name):
            said = re.sub(rf"\borganizations\.{number}(\.|: )", f"{name}: ", said)
    return said


def _without_nothing(document: object) -> object:
    """*document* without keys that have no value, as the list whose last organisation was removed."""
    if not isinstance(document, dict):
        return {} if document is None else document
    return {key: value for key, value in cast("dict[str, Any]", document).items() if value is not None}


def _check_settings(organization: Organization) -> None:
    try:
        organization.close_settings()
    except ValidationError as error:
        raise Unreadable(f"has settings of {organization.name} that can't be used: {settings_problem(error)}") from None


def add(listed: Organizations, file: PrefectYaml) -> PrefectYaml:
    """*file* with a deployment for each organisation and cleanup. Raises `Unreadable` if one can't be used."""
    cleanups = {each.name: each for each in file.deployments if each.block}
    generated = [each for organization in listed.organizations for each in _entries(organization, cleanups)]
    kept = tuple(each for each in file.deployments if listed.deploy_prefect_yaml or each.block is None)
    left_out = frozenset(each.full_name for each in file.deployments if each not in kept)
    return replace(file, deployments=kept, left_out=left_out).with_entries(generated)


def _entries(organization: Organization, cleanups: Mapping[str, Deployment]) -> Iterator[dict[str, Any]]:
    for name in organization.cleanups:
        if name not in cleanups:
            raise Unreadable(
                f"lists {quoted(name)} for {organization.name}, which is no cleanup of prefect.yaml"
                f"{did_you_mean(name, cleanups)}"
            )
        yield _entry(cleanups[name], organization, organization.overrides.get(name, Override()))


def _entry(base: Deployment, organization: Organization, override: Override) -> dict[str, Any]:
    given = base.given
    pool = cast("dict[str, Any]", given["work_pool"])
    variables = cast("dict[str, Any]", pool.get("job_variables") or {})
    env = {
        **cast("dict[str, Any]", variables.get("env") or {}),
        **organization.settings,
        "CLOSE_API_KEY_BLOCK": organization.secret_block,
        "CLOSE_ORGANIZATION_ID": organization.organization_id,
    }
    parameters = cast("dict[str, Any]", given.get("parameters") or {})
    if "time_zone" in base.takes:
        parameters = {**parameters, "time_zone": organization.time_zone}
    return {
        **given,
        "name": f"{base.name}-{organization.name}",
        "tags": [*(given.get("tags") or ()), *organization.tags],
        "work_pool": {**pool, "job_variables": {**variables, "env": env}},
        "parameters": _merged(parameters, override.parameters),
        "schedules": _schedules(given.get("schedules") or (), override.schedules, organization.time_zone),
    }


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """*base* with what *over* has in its place. Settings of ``keep`` and the like are merged; null removes one."""
    merged = {**base, **over}
    for name in base.keys() & over.keys():
        here, there = base[name], over[name]
        if isinstance(here, dict) and isinstance(there, dict):
            both = {**cast("dict[str, Any]", here), **cast("dict[str, Any]", there)}
            merged[name] = {key: value for key, value in both.items() if value is not None}
    return {name: value for name, value in merged.items() if value is not None}


def _schedules(
    base: Sequence[dict[str, Any]], own: Sequence[dict[str, Any]] | None, time_zone: str
) -> list[dict[str, Any]]:
    """Those of its *own*, else those of the *base*: all due in its *time_zone*, unless its own say otherwise."""
    if own is not None:
        return [{"timezone": time_zone, **each} for each in own]
    return [{**each, "timezone": time_zone} for each in base]


def without(text: str, name: str) -> str | None:
    """The *text* of the file without the organisation *name*; None if it can't be cut out of it line by line."""
    found = cast("dict[str, Any]", yaml_of(text))
    left = [each for each in found["organizations"] if each["name"] != name]
    root = cast("yaml.MappingNode", yaml.compose(text, Loader=yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]
    [nodes] = [value.value for key, value in root.value if key.value == "organizations"]
    [entry] = [node for node, each in zip(nodes, found["organizations"], strict=True) if each["name"] == name]
    lines = text.splitlines(keepends=True)
    del lines[entry.start_mark.line : _last_line(entry) + 1]
    cut = "".join(lines)
    try:
        same = _without_nothing(yaml_of(cut)) == _without_nothing({**found, "organizations": left or None})
    except Unreadable:
        return None
    return cut if same else None


def _last_line(node: yaml.Node) -> int:
    """The line on which *node* ends: that of a block is known only by what is in it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(node, yaml.MappingNode) else last)
    end = node.end_mark
    return end.line if end.column else end.line - 1
