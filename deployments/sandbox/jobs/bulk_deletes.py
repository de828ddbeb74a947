"""Bulk deletes: created → loading → processing → done, at a given number of leads per second.

A job's progress is in the database; `advance` moves it to where it should be by now. The leads to delete are selected
at the end of loading, by the clock of that moment and the caller's time zone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from deployments.sandbox.database import schema
from deployments.sandbox.objects.delete_leads import delete_leads
from deployments.sandbox.objects.events import Cause, Change, record
from deployments.sandbox.objects.labels import read_labels, row_json
from deployments.sandbox.objects.write_leads import stamps
from deployments.sandbox.query.conditions import QueryContext
from deployments.sandbox.query.search import Search, prepare_search
from deployments.sandbox.state import State, Tenant
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import Invalid
from deployments.sandbox.wire.ids import new_id
from deployments.sandbox.wire.json_types import Json, JsonObject
from deployments.sandbox.wire.moments import format_event_moment, now, parse_moment

SPELLINGS: dict[str, Callable[[datetime], str]] = {
    "microseconds": lambda moment: moment.isoformat(timespec="microseconds"),
    "space": str,
    "no_zone": format_event_moment,
}
"""How `Behaviour.echo` may have instants spelled."""
PREFIX = "bulkdelete"
OBJECT_TYPE = "bulk_action.delete"
FINAL = ("done", "error")
CHUNK = 200  # leads per transaction, so that requests can write in between
PAUSES = ["paused"]  # the only shown status that takes effect
RESUMING = timedelta(seconds=0.2)
LONGEST_PAUSE = timedelta(days=7)
HIDDEN = (
    *("phase", "echo", "shown_status", "paused_at", "phase_at", "phase_processed", "n_gone_through"),
    *("fail_after", "stall_after", "tz_offset_seconds", "leads_per_second"),
)


def status(job: Row[Any]) -> Json:
    """The status that Close shows."""
    if job.paused_at is not None:
        return "paused"
    if job.shown_status not in (None, PAUSES) and job.phase not in ("created", "loading"):
        return job.shown_status[0]
    resumed = job.phase == "processing" and job.phase_processed and now() - job.phase_at < RESUMING
    return "resuming" if resumed else job.phase


def job_json(job: Row[Any], organization_id: str) -> JsonObject:
    """A bulk delete as Close shows it, with all its keys in every status."""
    found = row_json(schema.bulk_deletes, job, organization_id, without=HIDDEN)
    return found | {
        "bulk_object_type": "lead",
        "status": status(job),
        "s_query": json.loads(job.echo),
        "query": None,
        "n_objects": job.n_leads,
        "n_objects_processed": job.n_leads_processed,
    }


def start(
    connection: Connection, state: State, cause: Cause, organization_id: str, request: Mapping[str, Any]
) -> Row[Any]:
    """Insert a new bulk delete; *request* has s_query, sort, results_limit, send_done_email, tz_offset_seconds."""
    at, jobs = now(), state.jobs
    values: dict[str, Any] = {
        "id": new_id(PREFIX),
        "phase": "created",
        "shown_status": [jobs.status] if "status" in jobs.model_fields_set else None,
        "phase_at": at,
        "phase_processed": 0,
        "echo": json.dumps(_echo(request["s_query"], state.behaviour.echo)),
        "n_leads_processed": 0,
        "n_gone_through": 0,
        "leads_per_second": jobs.leads_per_second or state.leads_per_second,
        "fail_after": jobs.fail_after,
        "stall_after": jobs.stall_after,
        **request,
        **stamps(cause.user_id, at),
    }
    table = schema.bulk_deletes
    job = connection.execute(insert(table).returning(table), values).one()
    _record_event(connection, "created", job, organization_id, cause)
    return job


def _echo(query: Json, how: str) -> Json:
    if how == "normalised":
        return _normalised(query)
    return _respelled(query, SPELLINGS[how]) if how in SPELLINGS else query


def _normalised(node: Json) -> Json:
    if isinstance(node, list):
        return [_normalised(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {key: _normalised(value) if key in ("queries", "related_query") else value for key, value in node.items()}
    return dict(sorted({"negate": False, **found}.items()))


def _respelled(part: Json, spell: Callable[[datetime], str]) -> Json:
    if isinstance(part, list):
        return [_respelled(each, spell) for each in part]
    if not isinstance(part, dict):
        return part
    if part.get("type") == "fixed_utc":
        return {**part, "value": spell(parse_moment(str(part["value"])))}
    return {key: _respelled(value, spell) for key, value in part.items()}


def set_status(connection: Connection, job: Row[Any], wanted: str, organization_id: str, cause: Cause) -> Row[Any]:
    """Pause or resume a bulk delete. Raises Invalid where its status doesn't allow that."""
    if job.phase in FINAL:
        raise Invalid(f"The bulk action is {job.phase}: its status can't be changed.", ("status",))
    at = now()
    if wanted == "paused":
        changes: dict[str, Any] = {"paused_at": job.paused_at or at}
    else:
        if job.paused_at is None:
            raise Invalid("The bulk action is not paused.", ("status",))
        if at - job.paused_at > LONGEST_PAUSE:
            raise Invalid("The bulk action has been paused for more than 7 days.", ("status",))
        changes = {"paused_at": None, "phase_at": at, "phase_processed": job.n_gone_through}
        changes |= {"shown_status": None, "stall_after": None}
    job = _update(connection, job, updated_by=cause.user_id, **changes)
    _record_event(connection, "paused" if wanted == "paused" else "updated", job, organization_id, cause)
    return job


def advance(connection: Connection, tenant: Tenant, state: State, job: Row[Any]) -> None:
    """Move a job to where it should be by now, or one chunk of leads closer to it."""
    at = now()
    waited = (at - job.phase_at).total_seconds()
    before = job.phase
    if job.phase == "created" and waited >= state.jobs.created_seconds:
        job = _update(connection, job, phase="loading", phase_at=at)
    elif job.phase == "loading" and waited >= state.jobs.loading_seconds:
        job = _load(connection, state, job, at)
    elif job.phase == "processing":
        job = _process(connection, tenant, state, job, waited)
    if job.phase != before:
        action = "completed" if job.phase == "done" else "updated"
        _record_event(connection, action, job, tenant.organization.id, Cause(job.created_by, bulk_action_id=None))


def _load(connection: Connection, state: State, job: Row[Any], at: datetime) -> Row[Any]:
    try:
        found = _search(connection, state, job, at)
    except Invalid:  # valid when the job was created; a Smart View or field was deleted since
        return _update(connection, job, phase="error", phase_at=at)
    rows = schema.bulk_delete_leads
    pks = found.pks(limit=job.results_limit).subquery()
    position, pk = pks.c
    connection.execute(insert(rows).from_select(["job_pk", "position", "lead_pk"], select(job.pk, position, pk)))
    total = connection.execute(
        select(rows.c.position).where(rows.c.job_pk == job.pk).order_by(rows.c.position.desc()).limit(1)
    ).scalar_one_or_none()
    return _update(connection, job, phase="processing", phase_at=at, n_leads=0 if total is None else total + 1)


def _search(connection: Connection, state: State, job: Row[Any], at: datetime) -> Search:
    return stored_search(connection, state, job, job.s_query, job.sort, at)


def stored_search(
    connection: Connection, state: State, job: Row[Any], query: JsonObject, sort: Sequence[JsonObject], at: datetime
) -> Search:
    """The search of a bulk delete or export, for whoever started it and their time zone. Raises Invalid."""
    offset = timedelta(seconds=job.tz_offset_seconds)
    context = QueryContext(now=at, offset=offset, user_id=job.created_by, behaviour=state.behaviour)
    return prepare_search(connection, Body(query, ("s_query",)), [Body(each, ("sort",)) for each in sort], context)


def _process(connection: Connection, tenant: Tenant, state: State, job: Row[Any], waited: float) -> Row[Any]:
    stops = [each for each in (job.fail_after, job.stall_after) if each is not None]
    pauses = job.shown_status == PAUSES
    if pauses and job.stall_after is None:
        stops.append(0)
    due = min(job.n_leads, *stops, job.phase_processed + int(waited * job.leads_per_second))
    upto = min(due, job.n_gone_through + CHUNK)
    processed = job.n_leads_processed
    if upto > job.n_gone_through:
        processed += _delete(connection, tenant, state, job, upto)
    changes: dict[str, Any] = {}
    if upto != job.n_gone_through:
        changes = {"n_gone_through": upto, "n_leads_processed": processed}
    if job.fail_after is not None and upto >= job.fail_after and upto < job.n_leads:
        changes["phase"] = "error"
    elif pauses and upto >= (job.stall_after or 0):
        changes["paused_at"] = now()
    elif upto >= job.n_leads:
        changes["phase"] = "done"
    return _update(connection, job, **changes) if changes else job


def _delete(connection: Connection, tenant: Tenant, state: State, job: Row[Any], upto: int) -> int:
    """Delete the next leads. Returns how many count as processed: also those already deleted, not those spared."""
    rows = schema.bulk_delete_leads
    mine = (rows.c.job_pk == job.pk) & (rows.c.position >= job.n_gone_through) & (rows.c.position < upto)
    pks = list(connection.scalars(select(rows.c.lead_pk).where(mine)))
    spared = 0
    if state.behaviour.matching == "at_processing":
        found = _search(connection, state, job, now())
        lead = found.query.rows
        still = set(connection.scalars(select(lead.c.pk).where(found.where, lead.c.pk.in_(pks))))
        spared = len(pks) - len(still)
        pks = list(still)
    cause = Cause(job.created_by, bulk_action_id=job.id)
    lag = timedelta(seconds=state.behaviour.index_lag_seconds)
    delete_leads(connection, pks, cause, read_labels(connection, tenant.organization), lag=lag)
    return upto - job.n_gone_through - spared


def _update(connection: Connection, job: Row[Any], **values: Any) -> Row[Any]:
    table = schema.bulk_deletes
    changed = update(table).where(table.c.pk == job.pk).values(date_updated=now(), **values).returning(table)
    return connection.execute(changed).one()


def _record_event(connection: Connection, action: str, job: Row[Any], organization_id: str, cause: Cause) -> None:
    """Record an event about the job itself."""
    data = job_json(job, organization_id)
    record(connection, cause, [Change(action, OBJECT_TYPE, job.id, None, data)])
