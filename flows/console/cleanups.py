"""The cleanups of ``prefect.yaml``: what the command line knows of a deployment."""

from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from flows.console.documents import Unreadable, text_of, yaml_of
from flows.console.terminal import Usage, typed
from tasks.close.problems import problems
from tasks.criteria.wording import did_you_mean

FILE = "prefect.yaml"
ENTRYPOINT = "flows/lead_cleanup.py:lead_cleanup"
CHECKOUT = Path(__file__).parents[2]


class Deployment(BaseModel):
    """A deployment, as far as its name and its parameters go."""

    name: str
    entrypoint: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any])


class Deployments(BaseModel):
    """The part of ``prefect.yaml`` that says what is deployed."""

    deployments: list[Deployment] = Field(default_factory=list[Deployment])


def parameters_of(cleanup: str) -> Mapping[str, Any]:
    """The parameters of the deployment called *cleanup*. Raises `Usage` if there is none."""
    known = _cleanups()
    if cleanup not in known:
        quotes = " A value of several words needs quotes." if _follows_value(cleanup) else ""
        raise Usage(f"There is no cleanup {cleanup!r} in {FILE}{did_you_mean(cleanup, known)}{quotes}")
    return known[cleanup]


def _follows_value(word: str) -> bool:
    """Whether *word* was typed right after the value of a flag."""
    flag, value = ["", "", *takewhile(word.__ne__, typed.get())][-2:]
    if value.startswith("-"):
        return "=" in value
    return flag.startswith("--") and "=" not in flag


def _cleanups() -> dict[str, Mapping[str, Any]]:
    """The cleanups of the current folder, else those of the checkout that this program runs from."""
    for folder in (Path.cwd(), CHECKOUT):
        file = folder / FILE
        if file.is_file() and (found := _read(file)):
            return found
    raise Usage(f"There is no {FILE} with cleanups, neither here nor in {CHECKOUT}: run without a name, or go there.")


def _read(file: Path) -> dict[str, Mapping[str, Any]]:
    try:
        document = yaml_of(text_of(file))
    except Unreadable as error:
        raise Usage(f"{file} {error}.") from None
    try:
        deployed = Deployments.model_validate(document or {}).deployments
    except ValidationError as error:
        raise Usage(f"{file} can't be used: {problems(error, document)}.") from None
    return {each.name: each.parameters for each in deployed if each.entrypoint == ENTRYPOINT}
