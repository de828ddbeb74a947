"""Apply automations.yaml: recovery without a person. A part of ``make deploy``.

An automation is identified by its name. One that is missing is created, one that differs is updated, and one that is
as it should be isn't touched: whenever an automation is updated, Prefect forgets the runs that it is watching, and
those that crash just then would not be found.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import Automation, AutomationCore
from pydantic import ValidationError

from flows.console.documents import Unreadable, text_of, yaml_of
from tasks.close.problems import problems

FILE = Path(__file__).parent / "automations.yaml"


class WrongFile(Exception):
    """The file can't be read as automations; the message is one sentence that says why."""


def read(file: Path = FILE) -> list[AutomationCore]:
    """The automations in *file*. Raises `WrongFile`."""
    return automations_of(document_of(file), file)


def document_of(file: Path) -> Any:
    """What *file* says, as YAML has it. Raises `WrongFile`."""
    try:
        return yaml_of(text_of(file))
    except Unreadable as error:
        raise WrongFile(f"{file.name} {error}.") from error


def automations_of(document: Any, file: Path, **of_actions: object) -> list[AutomationCore]:
    """The automations in the *document* of *file*, with *of_actions* in each of their actions. Raises `WrongFile`."""
    try:
        return [
            AutomationCore.model_validate(
                {**each, "actions": [{**action, **of_actions} for action in each["actions"]]} if of_actions else each
            )
            for each in document["automations"]
        ]
    except (KeyError, TypeError) as error:
        raise WrongFile(f"{file.name} has no list called automations.") from error
    except ValidationError as error:
        raise WrongFile(f"{file.name} has an automation that isn't one: {problems(error)}.") from error


def apply(prefect: SyncPrefectClient, wanted: list[AutomationCore]) -> list[str]:
    """Create or update the automations *wanted* on the server, and return a sentence on each that needs one.

    Touches none of another name. One that somebody has turned off is updated too, but stays off.
    """
    return [sentence for automation in wanted for sentence in _apply(prefect, automation)]


def _apply(prefect: SyncPrefectClient, wanted: AutomationCore) -> Iterator[str]:
    found = prefect.read_automations_by_name(wanted.name)
    if not found:
        prefect.create_automation(wanted)
        yield f"Created the automation {wanted.name!r}."
        return
    kept, *more = found
    for extra in more:
        prefect.delete_automation(extra.id)
        yield f"There were several automations called {wanted.name!r}; one is left."
    if not kept.enabled:
        yield f"The automation {wanted.name!r} is turned off in Prefect, and stays so."
    due = wanted.model_copy(update={"enabled": kept.enabled})
    if due != _core(kept):
        prefect.update_automation(kept.id, due)
        yield f"Updated the automation {wanted.name!r}."


def _core(found: Automation) -> AutomationCore:
    """*found* as the file would have it."""
    return AutomationCore.model_validate(found.model_dump(include=set(AutomationCore.model_fields)))
