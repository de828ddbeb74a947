"""Backups for tests: Close's own export, in the folder and with the manifest that a cleanup would write."""

import gzip
import hashlib
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, cast
from uuid import uuid4

import httpx
from support.close_account import LONG_AGO, CloseAccount, lead

from deployments.sandbox.organization import ADMIN, MANAGER_ID, MANAGERS, SCORE_ID, STATUS_IDS, USER
from tasks.backup.archive import LEADS, MANIFEST, Archive, Manifest

EVERYTHING: dict[str, Any] = {"type": "object_type", "object_type": "lead"}
AT = datetime.now(UTC) - timedelta(days=100)


class BackUp(Protocol):
    def __call__(self, *ids: str, **manifest: Any) -> Path: ...


def export(sandbox: CloseAccount) -> list[dict[str, Any]]:
    """Every lead with its activities, as Close exports them."""
    job = sandbox.post("/export/lead/", format="json", type="leads", include_activities=True, send_done_email=False)
    while job["status"] != "done":
        time.sleep(0.02)
        job = sandbox.get(f"/export/{job['id']}/")
    found: list[dict[str, Any]] = httpx.get(job["download_url"]).raise_for_status().json()
    return found


def make_backup(sandbox: CloseAccount, folder: Path, ids: Sequence[str] = (), **manifest: Any) -> Path:
    """A backup of the leads with these *ids*, or of all."""
    leads = [each for each in export(sandbox) if not ids or each["id"] in ids]
    organization_id = sandbox.get("/status/lead/")["data"][0]["organization_id"]
    run_id = str(uuid4())
    archive = Archive.at(str(folder / organization_id / run_id))
    write(archive, leads, organization_id, run_id, **manifest)
    return Path(archive.path)


def write(
    archive: Archive, leads: Sequence[dict[str, Any]], organization_id: str, run_id: str, **manifest: Any
) -> None:
    """The files of a backup."""
    packed = gzip.compress("".join(json.dumps(each) + "\n" for each in leads).encode())
    with archive.create(LEADS) as file:
        file.write(packed)
    values: dict[str, Any] = {
        "organization_id": organization_id,
        "flow_run_id": run_id,
        "as_of": "2026-01-01T00:00:00.123Z",
        "digest": "0" * 64,
        "s_query": EVERYTHING,
        "leads": len(leads),
        "sha256": hashlib.sha256(packed).hexdigest(),
        "made_at": datetime.now(UTC),
        "keep_until": datetime.now(UTC) + timedelta(days=30),
        **manifest,
    }
    archive.write(MANIFEST, Manifest.model_validate(values).model_dump_json())


def delete(sandbox: CloseAccount, *ids: str) -> None:
    """Delete the leads with these *ids* in bulk, or all; returns when they are gone."""
    wanted = {"type": "or", "queries": [{"type": "id", "value": each} for each in ids]}
    query = {"type": "and", "queries": [EVERYTHING, wanted]} if ids else EVERYTHING
    job = sandbox.post("/bulk_action/delete/", s_query=query, send_done_email=False)
    while job["status"] != "done":
        time.sleep(0.02)
        job = sandbox.get(f"/bulk_action/delete/{job['id']}/")


def rich(name: str, **more: Any) -> dict[str, Any]:
    """A lead with at least one of everything that can come back."""
    mia, max_ = MANAGERS
    ann, ben = (f"cont_{uuid4().hex}" for _ in range(2))
    contacts = [
        {
            "id": ann,
            "name": "Ann Other",
            "title": "Head of purchasing",
            "date_created": LONG_AGO,
            "emails": [
                {"email": "ann@acme.example", "type": "office"},
                {"email": "a@x.example", "type": "home"},
            ],
            "phones": [{"phone": "+14155550100", "type": "mobile"}],
            "urls": [{"url": "https://ann.example", "type": "url"}],
        },
        {"id": ben, "name": "Ben", "date_created": LONG_AGO},
    ]
    address = dict(zip(ADDRESS, ("business", "Main St 1", "2nd floor", "Bonn", "NW", "53111", "DE"), strict=True))
    opportunities = [
        {"contact_id": ann, "user_id": mia.id, "status_label": "Proposal Sent", "value": 120_000, "note": "Big"},
        {"user_id": USER.id, "status_type": "won", "value": 5, "value_period": "monthly", "confidence": 100},
        {"status_type": "lost", "confidence": 0, "user_id": ADMIN.id},
    ]
    activities = [
        {"_type": "Note", "note": "Asked for <b>prices</b>.", "user_id": max_.id},
        {"_type": "Note", "note": "Asked for <b>prices</b>.", "user_id": mia.id},
        {"_type": "Call", "note": "Spoke.", "duration": 90, "direction": "inbound", "contact_id": ben},
        {"_type": "Call", "direction": "outbound", "status": "no-answer", "phone": "+14155550100"},
        {"_type": "SMS", "text": "On my way.", "status": "sent", "contact_id": ann, "local_phone": "+14155550199"},
        {"_type": "SMS", "text": "Fine!", "status": "inbox", "direction": "inbound"},
    ]
    return lead(
        name,
        "Bad Fit",
        description="Two lines,\nthe second longer",
        url="https://example.com",
        contacts=contacts,
        addresses=[address],
        opportunities=[{"date_created": LONG_AGO, **each} for each in opportunities],
        tasks=[{"text": "Call back", "date": "2030-05-06", "assigned_to": mia.id, "date_created": LONG_AGO}],
        activities=[
            {"date_created": LONG_AGO, "activity_at": (AT + timedelta(hours=n)).isoformat(), **each}
            for n, each in enumerate(activities)
        ],
        **{f"custom.{SCORE_ID}": 7, f"custom.{MANAGER_ID}": mia.id},
        **more,
    )


ADDRESS = ("label", "address_1", "address_2", "city", "state", "zipcode", "country")
POTENTIAL = STATUS_IDS["Potential"]

# What is named as lost: ids; who created and changed something and when it was changed; when it was lost.
LOST = {
    *("id", "lead_id", "html_url", "contact_ids", "created_by", "created_by_name", "updated_by", "updated_by_name"),
    *("date_updated", "date_lost"),
}
RESTORED = {"Note", "Call", "SMS"}


def field_by_field(leads: Sequence[dict[str, Any]]) -> list[str]:
    """Each lead with all that belongs to it as one text, without what is named as lost. Everything in one order."""
    return sorted(json.dumps(_comparable(each), sort_keys=True, indent=1) for each in leads)


def _comparable(each: dict[str, Any]) -> dict[str, Any]:
    names = {contact["id"]: contact["name"] for contact in each["contacts"]}
    activities = [activity for activity in each["activities"] if activity["_type"] in RESTORED]
    found = _without({**each, "activities": activities}, names)
    for many in ("contacts", "opportunities", "tasks", "activities"):
        found[many].sort(key=json.dumps)
    return found


def _without(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_without(each, names) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    value = cast("dict[str, Any]", value)
    kept = {key: _without(each, names) for key, each in value.items() if key not in LOST}
    if kept.get("contact_id"):
        kept["contact_id"] = names[kept["contact_id"]]
    return kept
