"""Which run claimed and started which bulk delete: one record a claim, in a Prefect Variable.

The record is created before the POST and never deleted by a run. Creating a Variable has one winner, so of several
copies of a run only one may start anything. Where it is certain that nothing was started, or a person has said so, the
run may claim once more: under the next number, again with one winner. Records need no disk that workers share, and
people find them in the Prefect UI under Variables, as ``lead_cleanup_run_…``.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.exceptions import ObjectAlreadyExists
from pydantic import ValidationError

from tasks.ledger.record import PREFIX, VERSION, BackupTaken, Record, name_of
from tasks.plan.model import Plan
from tasks.runs.connect import prefect
from tasks.runs.outcomes import Outcome, Stop
from tasks.runs.run import Run
from tasks.runs.versions import from_newer_version

TAG = "lead-cleanup"
UNRESOLVED = "unresolved"
SET_ASIDE = "given-up"
KEPT_FOR = timedelta(days=90)
PAGE = 200  # Variables; Prefect returns no more at once


def read(run_id: UUID) -> Record | None:
    """The run's latest record, or None if it has claimed nothing. Raises `PrefectAway` when it can't be read."""
    with prefect() as server:
        return _latest(server, run_id)


def next_claim(run: Run, plan: Plan, backup: BackupTaken | None, after: Record | None) -> Record:
    """What *run* claims for *plan*, of whose leads it has a *backup*.

    *after* is the record that this attempt has read first, if there was one. Of copies that have read the same, one
    writes it; and a copy that has read an older one comes too late.
    """
    return Record(
        **plan.as_planned(),
        run_id=run.id,
        cleanup=run.cleanup,
        claim=after.claim + 1 if after else 1,
        restarted_by=after.unused_permission if after else None,
        backup=backup,
    )


def claim(record: Record) -> Record:
    """Write *record* unless the run has one, and give what then stands there.

    It is ours if its nonce is ours, also after "already exists": Prefect's client repeats a request whose answer was
    lost, and then meets its own record.
    """
    with prefect() as server:
        with suppress(ObjectAlreadyExists):
            server.create_variable(VariableCreate(name=record.name, value=_value(record), tags=_tags(record)))
        return _standing(server, record)


def note(record: Record, **facts: object) -> Record:
    """Add *facts* to what stands in the ledger of *record*; gives what stands there then.

    Read again first: another process may have noted something else meanwhile. Raises `PrefectAway`, and `Stop` where
    another claim stands there now.
    """
    with prefect() as server:
        standing = _standing(server, record)
        if standing.nonce != record.nonce:
            raise Stop(Outcome.UNKNOWN, f"The claim {record.name} no longer stands: somebody changed the ledger.")
        noted = standing.model_copy(update=facts)
        server.update_variable(VariableUpdate(name=noted.name, value=_value(noted), tags=_tags(noted)))
        if noted.bulk_delete_id:
            server.update_flow_run_labels(noted.run_id, {"close.bulk_delete_id": noted.bulk_delete_id})
    return noted


def unresolved(organization_id: str | None = None) -> list[Record]:
    """The claims that are not known to have ended: in the organisation, or in all.

    Raises `Stop` (``unknown``) where one of them can't be read: what it claims may be under way.
    """
    return _readable(*_tagged(TAG, UNRESOLVED, *([organization_id] if organization_id else [])))


def given_up(organization_id: str) -> list[Record]:
    """The claims in the organisation that a person has given up."""
    return _readable(*_tagged(TAG, SET_ASIDE, organization_id))


def list_unresolved() -> tuple[list[Record], list[str]]:
    """The claims that are not known to have ended, for a list: those that can't be read are named, a sentence each."""
    return _tagged(TAG, UNRESOLVED)


def prune(now: datetime) -> tuple[list[Record], list[str]]:
    """Delete records that are older than 90 days, have ended, and whose flow run is gone; return them.

    While a run exists it can be retried, and would find no record of what it has started. Records that can't be read
    stay, and are named, a sentence each.
    """
    records, unreadable = _tagged(TAG)
    with prefect() as server:
        old = [each for each in records if each.ended and now - each.claimed_at > KEPT_FOR]
        gone = [each for each in old if not _exists(server, each.run_id)]
        for each in gone:
            server.delete_variable_by_name(each.name)
    return gone, unreadable


def _latest(server: SyncPrefectClient, run_id: UUID) -> Record | None:
    found: Record | None = None
    while variable := server.read_variable_by_name(name_of(run_id, found.claim + 1 if found else 1)):
        found = _parse(variable.name, variable.value)
    return found


def _standing(server: SyncPrefectClient, record: Record) -> Record:
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
    """The records with all these tags; and a sentence for each that can't be read."""
    records: list[Record] = []
    unreadable: list[str] = []
    offset = 0
    while True:
        wanted = {"variables": {"tags": {"all_": list(tags)}}, "offset": offset, "limit": PAGE}
        with prefect() as server:
            answer = server.request("POST", "/variables/filter", json=wanted).raise_for_status()
        page: list[dict[str, Any]] = answer.json()
        for each in page:
            if not str(each["name"]).startswith(PREFIX):
                continue
            try:
                records.append(_parse(str(each["name"]), each["value"]))
            except Stop as error:
                unreadable.append(str(error))
        offset += len(page)
        if len(page) < PAGE:
            return records, unreadable


def _readable(records: list[Record], unreadable: list[str]) -> list[Record]:
    if unreadable:
        raise Stop(Outcome.UNKNOWN, " ".join(unreadable))
    return records


def _exists(server: SyncPrefectClient, run_id: UUID) -> bool:
    return bool(server.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))))


def _value(record: Record) -> dict[str, Any]:
    return record.model_dump(mode="json")


def _tags(record: Record) -> list[str]:
    standing = [SET_ASIDE] if record.given_up else [] if record.ended else [UNRESOLVED]
    return [TAG, record.organization_id, record.cleanup, *standing]
