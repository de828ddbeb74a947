"""An organisation leaves: its schedules are paused, its deployments and its key deleted, its entry taken off the list.

The list comes last: whatever happens before, the command can be repeated, and `make deploy` revives nothing that it
has paused. What stays are the reports, the ledger and the backups: they are the evidence.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.responses import DeploymentResponse

from deployments import organizations, schedules
from deployments.organizations import Organizations
from deployments.removed import is_under_way
from flows.console.documents import UTF_8, text_of
from tasks.criteria.wording import did_you_mean
from tasks.ledger import store as ledger
from tasks.runs.run import ORGANIZATION, ORGANIZATION_NAME
from tasks.runs.wording import ended


class Unfinished(Exception):
    """The organisation isn't removed, or not wholly. The message says why, and what to do."""


def offboard(
    prefect: SyncPrefectClient,
    name: str,
    listed: Organizations,
    file: Path,
    deployed: Mapping[str, DeploymentResponse],
) -> Iterator[str]:
    """Remove the organisation *name*, and yield a sentence on each step. Raises `Unfinished`.

    *deployed* is all that is deployed. What is left of it is found by its tag if *listed*, what *file* says, no longer
    has it.
    """
    entry = next((each for each in listed.organizations if each.name == name), None)
    found = [each for each in deployed.values() if f"{ORGANIZATION_NAME}{name}" in each.tags]
    if entry is None and not found:
        names = [each.name for each in listed.organizations]
        raise Unfinished(ended(f"There is no organisation {name!r}{did_you_mean(name, names)}"))
    for each in found:
        schedules.pause(prefect, each, each.schedules)
    if busy := [each.name for each in found if is_under_way(prefect, each)]:
        raise Unfinished(
            f"{name}'s schedules are paused. Nothing is deleted yet, since runs have not ended ({', '.join(busy)}): "
            "cancel them or wait, then repeat the command."
        )
    tags = [*(entry.tags if entry else []), *(tag for each in found for tag in each.tags)]
    ids = sorted({tag for tag in tags if tag.startswith(ORGANIZATION)})
    for organization_id in ids:
        claims, unreadable = ledger.list_unresolved(organization_id)
        yield from (f"It isn't known how a run of {name} ended: {claim.line}." for claim in claims)
        yield from unreadable
    blocks = {_block(each) for each in found} | {entry.secret_block if entry else None}
    for each in found:
        prefect.delete_deployment(each.id)
        yield f"{each.name} is deleted; its reports stay."
    others = {_block(each) for each in deployed.values() if each not in found}
    for block in sorted(filter(None, blocks - others)):
        if document := _secret(prefect, block):
            prefect.delete_block_document(document)
            yield f"The Secret block {block} is deleted."
    if entry:
        yield _taken_off(file, name)
    folders = ", ".join(f"{each}/" for each in ids)
    yield f"Delete its key in Close, too. Its backups stay in {folders} of CLOSE_BACKUP_URL."


def _block(deployment: DeploymentResponse) -> str | None:
    env = cast("dict[str, Any]", (deployment.job_variables or {}).get("env") or {})
    return env.get("CLOSE_API_KEY_BLOCK")


def _secret(prefect: SyncPrefectClient, block: str) -> Any:
    found = prefect.read_block_documents_by_type("secret")
    return next((each.id for each in found if each.name == block), None)


def _taken_off(file: Path, name: str) -> str:
    left = organizations.without(text_of(file), name)
    if left is None:
        raise Unfinished(f"Remove {name} from {organizations.FILE}: the rest is done.")
    file.write_text(left, encoding=UTF_8)
    return f"{name} is removed from {organizations.FILE}."
