"""An organisation leaves: its schedules are paused, its deployments and its key deleted, its entry taken off the list.

The list comes last: whatever happens before, the command can be repeated, and `make deploy` revives nothing that it
has paused. What stays are the reports, the ledger and the backups: they are the evidence.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactCollectionFilter
from prefect.client.schemas.responses import DeploymentResponse

from deployments import organizations, schedules
from deployments.organizations import Organizations
from deployments.removed import is_under_way
from flows.console.asking import ask_for_text, somebody_is_there
from flows.console.documents import UTF_8, text_of
from flows.console.terminal import Usage
from tasks.criteria.wording import did_you_mean
from tasks.ledger import store as ledger
from tasks.report.artifacts import PREFIX, organization_in_key
from tasks.runs.run import ORGANIZATION, ORGANIZATION_NAME
from tasks.runs.wording import counted, with_full_stop


class Unfinished(Exception):
    """The organisation isn't removed, or not wholly. The message says why, and what to do."""


def offboard(
    prefect: SyncPrefectClient,
    name: str,
    listed: Organizations,
    file: Path,
    deployed: Mapping[str, DeploymentResponse],
) -> Iterator[str]:
    """Remove the organisation *name*, and yield a sentence on each step. Raises `Unfinished`, or `Usage` before any.

    *deployed* is all that is deployed. What is left of it is found by its tag if *listed*, what *file* says, no longer
    has it.
    """
    names = [each.name for each in listed.organizations]
    if not name:
        raise Usage(f"Say which: make offboard ORGANIZATION={(names or ['acme'])[0]}.")
    entry = next((each for each in listed.organizations if each.name == name), None)
    found = [each for each in deployed.values() if f"{ORGANIZATION_NAME}{name}" in each.tags]
    if entry is None and not found:
        raise Usage(with_full_stop(f"There is no organisation {name!r}{did_you_mean(name, names)}"))
    blocks = {_block(each) for each in found} | {entry.secret_block if entry else None}
    others = {_block(each) for each in deployed.values() if each not in found}
    secrets = {
        str(each.name): each.id
        for each in prefect.read_block_documents_by_type("secret")
        if each.name in blocks - others
    }
    _ask(name, [counted(len(found), "deployment"), *(f"its key in {block}" for block in secrets)], listed=bool(entry))
    for each in found:
        schedules.pause(prefect, each, each.schedules)
    if busy := [each.name for each in found if is_under_way(prefect, each)]:
        raise Unfinished(
            f"{name}'s schedules are paused. Nothing is deleted yet, since runs have not ended ({', '.join(busy)}): "
            f"cancel them or wait, then repeat the command. To keep {name}, resume its schedules in Prefect."
        )
    tags = [*(entry.tags if entry else []), *(tag for each in found for tag in each.tags)]
    ids = sorted({tag for tag in tags if tag.startswith(ORGANIZATION)})
    for organization_id in ids:
        claims, unreadable = ledger.list_open_claims(organization_id)
        yield from (f"It isn't known how a run of {name} ended: {claim.line}." for claim in claims)
        yield from unreadable
    for each in found:
        prefect.delete_deployment(each.id)
        yield f"{each.name} is deleted; its reports stay."
    for block, document in secrets.items():
        prefect.delete_block_document(document)
        yield f"The Secret block {block} is deleted."
    yield from _left_to_do(prefect, ids)
    if entry:
        yield _remove_from_list(file, name)


def _left_to_do(prefect: SyncPrefectClient, ids: Sequence[str]) -> Iterator[str]:
    """What the command leaves to a person."""
    folders = ", ".join(f"{each}/" for each in ids)
    yield "Its key still works until you delete it in Close."
    yield (
        f"Its backups stay in {folders} of CLOSE_BACKUP_URL. Its runs no longer delete old ones: "
        "lead-cleanup backups --prune does."
    )
    if plans := [key for each in ids for key in _plans(prefect, each)]:
        yield "Its plans stay in Prefect and show names of leads, unless you delete them:"
        yield from (f"  prefect artifact delete {key}" for key in plans)


def _ask(name: str, parts: Sequence[str], *, listed: bool) -> None:
    """Raise `Usage` if somebody is at the terminal and doesn't type the *name*, once told which *parts* go."""
    entry = [f"its entry in {organizations.FILE.name}"] if listed else []
    question = f"This removes {name}: {', '.join([*parts, *entry])}. Type {name} to go on; anything else stops:"
    if somebody_is_there() and ask_for_text(question) != name:
        raise Usage("Nothing is removed.")


def _plans(prefect: SyncPrefectClient, organization_id: str) -> list[str]:
    """The keys of its plans."""
    part = organization_in_key(organization_id)
    like = {"key": {"like_": f"{PREFIX}-%{part}%-plan"}}
    found = prefect.read_latest_artifacts(artifact_filter=ArtifactCollectionFilter.model_validate(like))
    return sorted(each.key for each in found if part in each.key and each.key.endswith("-plan"))


def _block(deployment: DeploymentResponse) -> str | None:
    env = cast("dict[str, Any]", (deployment.job_variables or {}).get("env") or {})
    return env.get("CLOSE_API_KEY_BLOCK")


def _remove_from_list(file: Path, name: str) -> str:
    left = organizations.without(text_of(file), name)
    if left is None:
        raise Unfinished(f"Remove {name} from {organizations.FILE}: the rest is done.")
    file.write_text(left, encoding=UTF_8)
    return f"{name} is removed from {organizations.FILE}."
