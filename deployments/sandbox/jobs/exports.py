"""Exports: created → started → in_progress → done, with a gzipped file to download."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from deployments.sandbox.database import schema
from deployments.sandbox.objects.events import Cause, Change, record
from deployments.sandbox.objects.labels import read_labels
from deployments.sandbox.objects.serialize_children import activity_json
from deployments.sandbox.objects.serialize_leads import leads_json, rows_by_owner, select_fields
from deployments.sandbox.objects.smart_fields import smart_names, smart_values
from deployments.sandbox.query.conditions import QueryContext
from deployments.sandbox.query.search import EVERY_LEAD, prepare_search, stored_query
from deployments.sandbox.state import State, Tenant
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.ids import new_id
from deployments.sandbox.wire.json_types import Json, JsonObject
from deployments.sandbox.wire.moments import format_moment, now

PREFIX = "expo"
OBJECT_TYPE = "export.lead"
FINAL = ("done", "error")
NEXT = {"created": "started", "started": "in_progress"}
FLAGS = ("include_activities", "include_addresses", "include_custom_objects", "include_smart_fields")
CHUNK = 500


def export_json(export: Row[Any], organization_id: str, base: str) -> JsonObject:
    """An export as Close shows it; with a download address once it is done."""
    options: JsonObject = export.options
    return {
        **options,
        "id": export.id,
        "organization_id": organization_id,
        "status": export.status,
        "n_docs": export.n_docs,
        "n_docs_processed": export.n_docs_processed,
        "download_url": f"{base}/download/{export.id}.json" if export.status == "done" else None,
        "created_by": export.created_by,
        "updated_by": export.updated_by,
        "date_created": format_moment(export.date_created),
        "date_updated": format_moment(export.date_updated),
    }


def read_options(body: Body) -> JsonObject:
    """The validated options of the request. Raises Invalid."""
    sort: list[Json] = [each.data for each in body.objects("sort")]
    fields: list[Json] = [*body.texts("fields")]
    query = body.object("s_query")
    return {
        "s_query": query.data if query and query.data else None,
        "sort": sort,
        "results_limit": body.integer("results_limit", minimum=0),
        "format": _only("json", body, "format", ("csv", "json"), "csv"),
        "type": _only("leads", body, "type", ("leads", "contacts", "lead_opps"), "leads"),
        "date_format": body.choice("date_format", ("original", "iso8601", "excel"), "original"),
        "fields": fields,
        "send_done_email": body.boolean("send_done_email", True),
        **{flag: body.boolean(flag, False) for flag in FLAGS},
    }


def _only(known: str, body: Body, key: str, choices: Sequence[str], default: str) -> str:
    """Returns the only one of Close's *choices* that the sandbox knows. Raises Invalid for the others."""
    if body.choice(key, choices, default) != known:
        raise body.invalid(key, f"The sandbox doesn't export {' or '.join(each for each in choices if each != known)}.")
    return known


def start(
    connection: Connection, cause: Cause, organization_id: str, options: JsonObject, offset: timedelta
) -> Row[Any]:
    """Insert a new export."""
    at = now()
    table = schema.exports
    values = {
        "id": new_id(PREFIX),
        "status": "created",
        "options": options,
        "n_docs_processed": 0,
        "tz_offset_seconds": offset.total_seconds(),
        "created_by": cause.user_id,
        "updated_by": cause.user_id,
        "date_created": at,
        "date_updated": at,
    }
    export = connection.execute(insert(table).values(values).returning(table)).one()
    record(
        connection, cause, [Change("created", OBJECT_TYPE, export.id, None, export_json(export, organization_id, ""))]
    )
    return export


def advance(tenant: Tenant, state: State, export: Row[Any]) -> None:
    """Move an export to its next status. The last step makes the file, without blocking other writers."""
    if export.status in NEXT:
        changes: dict[str, Any] = {"status": NEXT[export.status]}
    else:
        with tenant.store.reading() as connection:
            docs = list(_documents(connection, tenant, state, export))
        file = gzip.compress(_file(docs, export.options))
        changes = {"status": "done", "n_docs": len(docs), "n_docs_processed": len(docs), "file": file}
    table = schema.exports
    with tenant.store.writing() as connection:
        changed = update(table).where(table.c.pk == export.pk).values(date_updated=now(), **changes).returning(table)
        rows = connection.execute(changed).all()
        for row in rows:  # none after a reset
            action = "completed" if row.status == "done" else "updated"
            data = export_json(row, tenant.organization.id, state.base)
            record(connection, Cause(row.created_by), [Change(action, OBJECT_TYPE, row.id, None, data)])


def _documents(connection: Connection, tenant: Tenant, state: State, export: Row[Any]) -> Iterator[JsonObject]:
    options = export.options
    context = QueryContext(
        now=now(),
        offset=timedelta(seconds=export.tz_offset_seconds),
        user_id=export.created_by,
        behaviour=state.behaviour,
    )
    query = stored_query(options["s_query"] or EVERY_LEAD, "s_query")
    found = prepare_search(connection, query, [stored_query(each, "sort") for each in options["sort"]], context)
    labels = read_labels(connection, tenant.organization)
    pks = [pk for _, pk in connection.execute(found.pks(limit=options["results_limit"]))]
    names = smart_names(["_all"]) if options["include_smart_fields"] else []
    for begin in range(0, len(pks), CHUNK):
        chunk = pks[begin : begin + CHUNK]
        rows = {row.pk: row for row in connection.execute(select(schema.leads).where(schema.leads.c.pk.in_(chunk)))}
        leads = [rows[pk] for pk in chunk]
        smart = smart_values(connection, chunk, names)
        activities = rows_by_owner(
            connection, schema.activities, "lead_pk", chunk if options["include_activities"] else []
        )
        for row, lead in zip(leads, leads_json(connection, leads, labels), strict=True):
            lead.update(smart.get(row.pk, {}))
            if options["include_activities"]:
                lead["activities"] = [activity_json(each, row, labels) for each in activities[row.pk]]
            yield lead


def _file(leads: list[JsonObject], options: JsonObject) -> bytes:
    wanted = options["fields"]
    fields = [str(each) for each in wanted] if isinstance(wanted, list) and wanted else None
    return json.dumps([select_fields(lead, fields) for lead in leads]).encode()
