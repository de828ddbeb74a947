"""What Close's own scripts for deleted leads do, played from their documented requests: a report, and a restore."""

import time
from typing import Any

import pytest
from asking import Close
from support.close_account import ADMIN, CloseAccount

Row = dict[str, Any]
ADDRESS = {"label": "office", "address_1": "Am Markt 1", "city": "Bonn", "country": "DE"}
# What is restored, and where it is posted to.
KINDS = {
    "opportunity": "/opportunity/",
    "task.lead": "/task/",
    "activity.call": "/activity/call/",
    "activity.note": "/activity/note/",
    "activity.sms": "/activity/sms/",
}


@pytest.fixture
def deleted(sandbox: CloseAccount) -> Row:
    """A lead with everything that can be restored, as it was before a bulk delete."""
    field = sandbox.get("/custom_field/lead/")["data"][0]
    lead = sandbox.post(
        "/lead/",
        name="Acme",
        status="Junk",
        addresses=[ADDRESS],
        contacts=[{"name": "Ann", "emails": [{"email": "ann@acme.example"}]}, {"name": "Bob"}],
        **{f"custom.{field['id']}": field["choices"][0]},
    )
    of_ann = {"lead_id": lead["id"], "contact_id": lead["contact_ids"][0]}
    sandbox.post("/opportunity/", **of_ann, value=500, note="Large")
    sandbox.post("/task/", lead_id=lead["id"], text="Write")
    sandbox.post("/task/", lead_id=lead["id"], text="Call", is_complete=True)
    sandbox.post("/activity/call/", **of_ann, duration=60)
    sandbox.post("/activity/note/", **of_ann, note="Called")
    sandbox.post("/activity/sms/", **of_ann, text="Hi")
    job = sandbox.post("/bulk_action/delete/", s_query={"type": "id", "value": lead["id"]})
    give_up = time.monotonic() + 20
    while sandbox.get(f"/bulk_action/delete/{job['id']}/")["status"] != "done":
        assert time.monotonic() < give_up
        time.sleep(0.05)
    return {**lead, "job": job["id"]}


def _events(account: CloseAccount, **filters: str) -> list[Row]:
    """Every event, page after page; the first has an empty cursor."""
    found: list[Row] = []
    cursor: str | None = ""
    while cursor is not None:
        page = account.get("/event/", **filters, _cursor=cursor)
        found += page["data"]
        cursor = page["cursor_next"]
    return found


def test_the_report_says_how_each_lead_was_deleted(sandbox: CloseAccount, deleted: Row):
    me = sandbox.get("/me/")
    organization = sandbox.get(
        f"/organization/{me['organizations'][0]['id']}/", _fields="memberships,inactive_memberships,lead_custom_fields"
    )

    events = _events(sandbox, object_type="lead", action="deleted")

    assert set(organization) == {"memberships", "inactive_memberships", "lead_custom_fields"}
    assert [(each["lead_id"], each["meta"]["bulk_action_id"]) for each in events] == [(deleted["id"], deleted["job"])]
    previous = events[0]["previous_data"]
    assert (previous["display_name"], previous["status_label"]) == ("Acme", "Junk")


def test_a_lead_is_restored_from_the_event_log_with_its_addresses(sandbox: CloseAccount, deleted: Row):
    previous = _events(sandbox, object_type="lead", action="deleted", lead_id=deleted["id"])[0]["previous_data"]
    new = sandbox.post("/lead/", **_without_id(previous))["id"]
    contacts: dict[str, str] = {}
    for event in _events(sandbox, object_type="contact", action="deleted", lead_id=deleted["id"]):
        body = {**_without_id(event["previous_data"]), "lead_id": new}
        contacts[event["object_id"]] = sandbox.post("/contact/", **body)["id"]
    for kind, path in KINDS.items():
        for event in _events(sandbox, object_type=kind, action="deleted", lead_id=deleted["id"]):
            body = {**_without_id(event["previous_data"]), "lead_id": new}
            if body.get("contact_id"):
                body["contact_id"] = contacts[body["contact_id"]]
            sandbox.post(path, **body)

    completed = sandbox.get("/activity/task_completed/", lead_id=new, _skip=0, _fields="id")["data"]
    with Close(sandbox, ADMIN) as close:
        removed = [close.http.delete(f"activity/task_completed/{each['id']}/").status_code for each in completed]

    found = sandbox.get(f"/lead/{new}/")
    kept = ("name", "status_label", "addresses", "custom")
    assert {key: found[key] for key in kept} == {key: deleted[key] for key in kept}
    assert sorted(each["name"] for each in found["contacts"]) == ["Ann", "Bob"]
    assert [(each["value"], each["note"]) for each in found["opportunities"]] == [(500, "Large")]
    assert sorted(each["text"] for each in sandbox.get("/task/", lead_id=new)["data"]) == ["Call", "Write"]
    assert removed == [200]
    assert {each["_type"] for each in sandbox.get("/activity/", lead_id=new)["data"]} == {"Call", "Note", "SMS"}


def _without_id(previous: Row) -> Row:
    return {key: value for key, value in previous.items() if key not in ("id", "quality_info")}
