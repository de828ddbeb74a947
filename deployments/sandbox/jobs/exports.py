"""Exports: created → started → in_progress → done, with a gzipped file to download."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, update

from deployments.sandbox.database import schema
from deployments.sandbox.jobs.bulk_deletes import stored_search
from deployments.sandbox.objects.events import Cause, Change, record
from deployments.sandbox.objects.labels import read_labels, row_json
from deployments.sandbox.objects.serialize_leads import ALL, children_by_lead, leads_json, select_fields
from deployments.sandbox.objects.write_leads import stamps
from deployments.sandbox.query.search import EVERY_LEAD
from deployments.sandbox.state import State, Tenant
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.ids import new_id
from deployments.sandbox.wire.json_types import Json, JsonObject
from deployments.sandbox.wire.moments import now

PREFIX = "expo"
OBJECT_TYPE = "export.lead"
FINAL = ("done", "error")
NEXT = {"created": "started", "started": "in_progress"}
FLAGS = ("include_activities", "include_addresses", "include_custom_objects", "include_smart_fields")
CHUNK = 500


def export_json(export: Row[Any], organization_id: str, base: str) -> JsonObject:
    """An export as Close shows it; with a download address once it is done."""
    found = row_json(schema.exports, export, organization_id, without=("options", "file", "tz_offset_seconds"))
    url = f"{base}/download/{export.id}.json" if export.status == "done" else None
    return {**export.options, **found, "download_url": url}


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
    table = schema.exports
    values = {
        "id": new_id(PREFIX),
        "status": "created",
        "options": options,
        "n_docs_processed": 0,
        "tz_offset_seconds": offset.total_seconds(),
        **stamps(cause.user_id, now()),
    }
    export = connection.execute(insert(table).returning(table), values).one()
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
    found = stored_search(connection, state, export, options["s_query"] or EVERY_LEAD, options["sort"], now())
    labels = read_labels(connection, tenant.organization)
    smart = [ALL] if options["include_smart_fields"] else None
    for rows in connection.execute(found.rows(limit=options["results_limit"])).partitions(CHUNK):
        leads = leads_json(connection, rows, labels, smart)
        if options["include_activities"]:
            activities = children_by_lead(connection, schema.activities, {row.pk: row for row in rows}, labels)
            for row, lead in zip(rows, leads, strict=True):
                lead["activities"] = [*activities[row.pk]]
        yield from leads


def _file(leads: list[JsonObject], options: JsonObject) -> bytes:
    wanted = options["fields"]
    fields = [str(each) for each in wanted] if isinstance(wanted, list) and wanted else None
    return json.dumps([select_fields(lead, fields) for lead in leads]).encode()
