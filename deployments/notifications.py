"""Apply notifications.yaml: messages to people, through a notification block. A part of ``make deploy``."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import AutomationCore

from deployments import automations

FILE = Path(__file__).parent / "notifications.yaml"
NO_BLOCK = UUID(int=0)


@dataclass(frozen=True)
class Notifications:
    """What the file says."""

    block: str
    """The name of the block that sends the messages."""
    document: Any

    def through(self, block_id: UUID) -> list[AutomationCore]:
        """The automations, with this block. Raises `WrongFile`."""
        return automations.automations_of(self.document, FILE, block_document_id=block_id)


def read(file: Path = FILE) -> Notifications:
    """What *file* says. Raises `WrongFile`, also for what could not be applied once there is a block."""
    document = automations.document_of(file)
    automations.automations_of(document, file, block_document_id=NO_BLOCK)
    block: object = document.get("block")
    if not isinstance(block, str) or not block:
        raise automations.WrongFile(f"{file.name} has no block: write the name of a notification block.")
    return Notifications(block, document)


def apply(prefect: SyncPrefectClient, wanted: Notifications) -> Iterator[str]:
    """Create or update the automations if the block exists; yield a sentence on each that needs one."""
    match _notification_blocks(prefect, wanted.block):
        case []:
            yield (
                f"Nobody is told when a run needs a person: there is no notification block {wanted.block}. Make one in "
                "Prefect, under Blocks, and deploy again."
            )
        case [block_id]:
            yield from automations.apply(prefect, wanted.through(block_id))
        case _:
            yield f"Which block notifies isn't known: there are several called {wanted.block}. Rename all but one."


def _notification_blocks(prefect: SyncPrefectClient, name: str) -> list[UUID]:
    """The ids of the blocks with this *name* that can notify; a name is unique within a type only."""
    wanted = {
        "block_documents": {"name": {"any_": [name]}, "is_anonymous": {"eq_": False}},
        "block_schemas": {"block_capabilities": {"all_": ["notify"]}},
    }
    found: list[dict[str, Any]] = (
        prefect.request("POST", "/block_documents/filter", json=wanted).raise_for_status().json()
    )
    return [UUID(each["id"]) for each in found]
