"""Reads and writes the ledger: one record per claim, in a Prefect Variable, which needs no disk that workers share.

Creating a Variable has one winner, so of several copies of a run only one may start anything. Where it is certain that
nothing was started, or a person has said so, the run may claim once more: under the next number, again with one winner.
People find the records in the Prefect UI under Variables, as ``lead_cleanup_run_…``.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.exceptions import ObjectAlreadyExists
from pydantic import ValidationError

from tasks.ledger.record import PREFIX, VERSION, BackupTaken, Record, name_of
from tasks.plan.model import Plan
from tasks.runs.connect import PAGE, prefect, repeat_write
from tasks.runs.logs import log_if_it_fails
from tasks.runs.outcomes import Outcome, Stop
from tasks.runs.run import TAG, Run
from tasks.runs.versions import from_newer_version

UNRESOLVED = "unresolved"
TAG_GIVEN_UP = "given-up"
TAG_CLEANUP = "cleanup:"
"""Begins the tag with a cleanup's name, so that a cleanup called ``unresolved`` isn't taken for an open claim."""
KEPT_FOR = timedelta(days=90)


def read(run_id: UUID) -> Record | None:
    """The run's latest record, or None if it has claimed nothing. Raises `PrefectUnavailable` when it can't be read."""
    found = _variables({"name": {"like_": f"{name_of(run_id, 1)}%"}})
    return max((_parse(*each) for each in found), key=lambda each: each.claim, default=None)


def next_claim(run: Run, plan: Plan, backup: BackupTaken | None, after: Record | None) -> Record:
    """The record by which *run* is to claim *plan*, with its *backup*, if it has one.

    *after* is the record that this attempt read first, if there was one. Of copies that read the same, one wins; a copy
    that read an older one comes too late.
    """
    if plan.approved:
        plan = plan.model_copy(update={"approved": plan.approved.shortened()})
    return Record(
        **plan.as_planned(),
        run_id=run.id,
        cleanup=run.cleanup,
        claim=after.claim + 1 if after else 1,
        restarted_by=after.unused_permission if after else None,
        backup=backup,
    )


def claim(record: Record) -> Record:
    """Create *record* unless it exists; return the one that does.

    It is ours if its nonce is ours, also after "already exists": Prefect's client repeats a request whose answer was
    lost, and then meets its own record.
    """
    with prefect() as server:
        try:
            server.create_variable(VariableCreate(**_variable(record)))
        except ObjectAlreadyExists:
            return _reread(server, record)
    return record


def update(record: Record, **fields: object) -> Record:
    """Set *fields* of the record, and return it as it is then in the ledger.

    Repeated for half a minute, since it records what Close was asked to do. Each try reads the record again and changes
    these fields only: another process may have updated it. None doesn't clear what another process has set since
    *record* was read. Raises `PrefectUnavailable`, and `Stop` if another claim has taken its place.
    """
    updated = repeat_write(lambda: _update(record, fields))
    if updated.bulk_delete_id and updated.bulk_delete_id != record.bulk_delete_id:
        with log_if_it_fails("Labelling the run with its bulk delete"), prefect() as server:
            server.update_flow_run_labels(updated.run_id, {"close.bulk_delete_id": updated.bulk_delete_id})
    return updated


def open_claims(organization_id: str | None = None) -> list[Record]:
    """The open claims: in the organisation, or in all.

    Raises `Stop` (``unknown``) if one of them can't be read: its bulk delete may be running.
    """
    return _readable(*list_open_claims(organization_id))


def runs_with_open_claims(organization_id: str | None = None) -> set[str]:
    """The ids of the runs that have an open claim, as `open_claims` returns these."""
    return {str(record.run_id) for record in open_claims(organization_id)}


def given_up(organization_id: str) -> list[Record]:
    """The claims in the organisation that a person has given up."""
    found = _readable(*_tagged(TAG, TAG_GIVEN_UP, organization_id))
    return [each for each in found if each.given_up and each.organization_id == organization_id]


def list_open_claims(organization_id: str | None = None) -> tuple[list[Record], list[str]]:
    """The open claims, in the organisation or in all, and a sentence for each that can't be read."""
    records, unreadable = _tagged(TAG, UNRESOLVED, *([organization_id] if organization_id else []))
    open_claims = [each for each in records if not each.ended and organization_id in {None, each.organization_id}]
    return open_claims, unreadable


def list_all() -> tuple[list[Record], list[str]]:
    """Every claim, open or closed, and a sentence for each that can't be read."""
    return _tagged(TAG)


def prune(now: datetime) -> list[Record]:
    """Delete closed records that are older than 90 days and whose flow run is gone; return them.

    While a run exists it can be retried, and would find no record of what it has started. Records that can't be read
    stay.
    """
    records, _ = list_all()
    with prefect() as server:
        deleted: list[Record] = []
        for each in records:
            of_run = FlowRunFilter(id=FlowRunFilterId(any_=[each.run_id]))
            old = each.ended and now - each.claimed_at > KEPT_FOR
            if old and not server.read_flow_runs(flow_run_filter=of_run):
                server.delete_variable_by_name(each.name)
                deleted.append(each)
    return deleted


def _update(record: Record, fields: Mapping[str, object]) -> Record:
    with prefect() as server:
        latest = _reread(server, record)
        if latest.nonce != record.nonce:
            raise Stop(Outcome.UNKNOWN, f"The claim {record.name} is gone: somebody changed the ledger.")
        unchanged = {name for name in fields if getattr(latest, name) == getattr(record, name)}
        changes = {name: value for name, value in fields.items() if value is not None or name in unchanged}
        updated = latest.model_copy(update=changes)
        server.update_variable(VariableUpdate(**_variable(updated)))
    return updated


def _reread(server: SyncPrefectClient, record: Record) -> Record:
    variable = server.read_variable_by_name(record.name)
    if variable is None:
        raise Stop(Outcome.UNKNOWN, f"The record {record.name} was written and is gone: somebody deleted the Variable.")
    return _parse(variable.name, variable.value)


def _parse(name: str, value: object) -> Record:
    """The record in the Variable *name*. Raises `Stop` (``unknown``) for one that can't be read."""
    if newer := from_newer_version(f"The Prefect Variable {name}", value, VERSION):
        raise Stop(Outcome.UNKNOWN, newer)
    try:
        return Record.model_validate(value)
    except ValidationError:
        raise Stop(
            Outcome.UNKNOWN, f"The Prefect Variable {name} is not what a run wrote: somebody edited it."
        ) from None


def _tagged(*tags: str) -> tuple[list[Record], list[str]]:
    """The records with all these tags; and a sentence for each that can't be read.

    In the records of 0.1 a tag may be the name of the cleanup: what a record says counts, not how it is tagged.
    """
    records: list[Record] = []
    unreadable: list[str] = []
    for name, value in _variables({"tags": {"all_": list(tags)}}):
        if name.startswith(PREFIX):
            try:
                records.append(_parse(name, value))
            except Stop as error:
                unreadable.append(str(error))
    return records, unreadable


def _variables(wanted: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The names and values of the Variables that meet a filter of Prefect's."""
    for offset in count(step=PAGE):
        with prefect() as server:
            asked = {"variables": wanted, "offset": offset, "limit": PAGE}
            page = server.request("POST", "/variables/filter", json=asked).raise_for_status().json()
        yield from ((str(each["name"]), each["value"]) for each in page)
        if len(page) < PAGE:
            break


def _readable(records: list[Record], unreadable: list[str]) -> list[Record]:
    if unreadable:
        raise Stop(Outcome.UNKNOWN, " ".join(unreadable))
    return records


def _variable(record: Record) -> dict[str, Any]:
    state = [TAG_GIVEN_UP] if record.given_up else [] if record.ended else [UNRESOLVED]
    tags = [TAG, record.organization_id, f"{TAG_CLEANUP}{record.cleanup}", *state]
    return {"name": record.name, "value": record.model_dump(mode="json"), "tags": tags}
