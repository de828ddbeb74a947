"""Leads and what belongs to them, one at a time; and the events that tell of it."""

from typing import Any

import pytest
from words_for_close import Close


def test_a_lead_from_its_name_alone(close: Close) -> None:
    lead = close.post("lead/", {"name": "Test Lead 1"})

    assert (lead["status_label"], lead["contacts"], lead["opportunities"], lead["tasks"]) == ("Potential", [], [], [])
    assert (lead["description"], lead["url"], lead["custom"]) == ("", None, {})
    assert lead["date_created"].endswith("+00:00")
    assert close.get(f"lead/{lead['id']}/") == lead


def test_a_lead_with_everything_nested(close: Close) -> None:
    fields = {each["name"]: each["id"] for each in close.get("custom_field/lead/")["data"]}
    contact = {"name": "Ann", "emails": [{"email": "a@x.example", "type": "office"}], "phones": [{"phone": "+1"}]}
    body = {
        "name": "X",
        "status": "Junk",
        "contacts": [contact],
        "addresses": [{"city": "Bonn"}],
        f"custom.{fields['score']}": 3,
    }

    lead = close.post("lead/", body)

    assert lead["status_label"] == "Junk"
    assert lead["contacts"][0]["emails"] == [{"email": "a@x.example", "type": "office", "is_unsubscribed": False}]
    assert lead["contact_ids"] == [lead["contacts"][0]["id"]]
    assert lead["addresses"][0]["city"] == "Bonn"
    assert (lead["custom"], lead[f"custom.{fields['score']}"]) == ({"score": 3}, 3)


def test_a_change_touches_only_what_it_names(close: Close) -> None:
    lead = close.post("lead/", {"name": "X", "description": "kept"})

    changed = close.http.put(f"lead/{lead['id']}/", json={"status": "Bad Fit"}).json()

    assert (changed["name"], changed["description"], changed["status_label"]) == ("X", "kept", "Bad Fit")
    event = close.get("event/", object_type="lead", action="updated")["data"][0]
    assert event["changed_fields"] == ["date_updated", "status_id", "status_label"]
    assert event["previous_data"]["status_label"] == "Potential"


def test_the_last_change_of_status_is_dated(close: Close) -> None:
    path = f"lead/{close.post('lead/', {'name': 'X'})['id']}/"

    def changed_at(**body: str) -> Any:
        close.http.put(path, json=body).raise_for_status()
        return close.get(path, _fields="last_lead_status_change_date,date_updated")

    assert changed_at(status="Potential")["last_lead_status_change_date"] is None
    junk = changed_at(status="Junk")
    assert junk["last_lead_status_change_date"] == junk["date_updated"]
    assert changed_at(name="Y")["last_lead_status_change_date"] == junk["date_updated"]


def test_values_of_a_custom_field_are_added_and_removed(close: Close) -> None:
    body = {"name": "tags", "type": "choices", "choices": ["a", "b"], "accepts_multiple_values": True}
    tags = close.post("custom_field/lead/", body)["id"]
    lead = close.post("lead/", {"name": "X", f"custom.{tags}": ["a"]})

    def change(key: str, value: Any) -> Any:
        return close.http.put(f"lead/{lead['id']}/", json={key: value}).json()["custom"].get("tags")

    assert change(f"custom.{tags}.add", "b") == ["a", "b"]
    assert change(f"custom.{tags}.remove", "a") == ["b"]
    assert change(f"custom.{tags}", None) is None


@pytest.mark.parametrize(
    ("body", "key"), [({"status": "Nope"}, "status"), ({"custom.cf_nope": 1}, "custom.cf_nope"), ({"name": 5}, "name")]
)
def test_what_is_wrong_is_named(close: Close, body: dict[str, Any], key: str) -> None:
    answer = close.http.post("lead/", json=body)

    assert (answer.status_code, list(answer.json()["field-errors"])) == (400, [key])
    assert close.get("lead/")["total_results"] == 0


def test_the_list_has_a_total_and_pages(close: Close) -> None:
    close.load(*({"name": f"lead {n}", "date_created": f"2024-01-0{n + 1}"} for n in range(5)))

    page = close.get("lead/", _skip=2, _limit=2, _fields="name")

    assert page == {"data": [{"name": "lead 2"}, {"name": "lead 1"}], "has_more": True, "total_results": 5}
    assert close.get("lead/", _limit=0) == {"data": [], "has_more": True, "total_results": 5}


def test_the_deprecated_text_search_is_refused_by_name(close: Close) -> None:
    answer = close.http.get("lead/", params={"query": 'status:"Bad Fit"'})

    assert (answer.status_code, list(answer.json()["field-errors"])) == (400, ["query"])
    assert "deprecated text search" in answer.text


def test_merging_moves_what_the_source_had(close: Close) -> None:
    source, destination = close.load({"name": "A", "contacts": [{"name": "Ann"}]}, {"name": "B"})

    close.post("lead/merge/", {"source": source, "destination": destination})

    assert close.http.get(f"lead/{source}/").status_code == 404
    assert [each["name"] for each in close.get(f"lead/{destination}/")["contacts"]] == ["Ann"]


def test_a_merge_leaves_the_events_that_close_documents(close: Close) -> None:
    """Of the destination `merged` and `updated`, of what moved `updated`, of the source `deleted`; each names both."""
    parts = {"contacts": [{"name": "Ann"}], "addresses": [{"city": "Bonn"}], "opportunities": [{"value": 5}]}
    source, destination = close.load({"name": "A", **parts}, {"name": "B"})

    close.post("lead/merge/", {"source": source, "destination": destination})

    events = close.get("event/")["data"]
    assert [(each["object_type"], each["action"], each["lead_id"]) for each in events] == [
        ("lead", "merged", destination),
        ("lead", "deleted", source),
        ("lead", "updated", destination),
        ("opportunity", "updated", destination),
        ("contact", "updated", destination),
    ]
    ids = {(each["meta"]["merge_source_lead_id"], each["meta"]["merge_destination_lead_id"]) for each in events}
    assert ids == {(source, destination)}
    merged = events[0]["data"]
    assert (events[0]["object_id"], merged["id"], len(merged["contact_ids"])) == (destination, destination, 1)
    assert events[2]["changed_fields"] == ["addresses", "contact_ids"]


def test_a_deleted_lead_is_remembered_with_its_addresses_and_contacts(close: Close) -> None:
    """Close's own script restores leads from this: without addresses, it restores leads without addresses."""
    address = {"label": "office", "address_1": "Am Markt 1", "city": "Bonn", "country": "DE"}
    alone, in_bulk = (
        close.post("lead/", {"name": name, "addresses": [address], "contacts": [{"name": "Ann"}]})
        for name in ("alone", "bulk")
    )

    close.http.delete(f"lead/{alone['id']}/")
    close.until(close.start(), "done")

    events = {event["object_id"]: event["previous_data"] for event in close.deleted()}
    for lead in (alone, in_bulk):
        assert events[lead["id"]]["addresses"] == lead["addresses"]
        assert events[lead["id"]]["contact_ids"] == lead["contact_ids"]


def test_a_change_of_addresses_or_contacts_is_a_change_of_the_lead(close: Close) -> None:
    lead = close.post("lead/", {"name": "X"})["id"]

    def changed() -> list[list[str]]:
        found = close.get("event/", object_type="lead", action="updated")["data"]
        return [event["changed_fields"] for event in found]

    close.http.put(f"lead/{lead}/", json={"addresses": [{"city": "Bonn"}]}).raise_for_status()
    assert changed() == [["addresses", "date_updated"]]
    contact = close.post("contact/", {"lead_id": lead, "name": "Ann"})["id"]
    close.http.put(f"contact/{contact}/", json={"name": "Bea"}).raise_for_status()  # documented: no change of the lead
    close.http.delete(f"contact/{contact}/").raise_for_status()
    assert changed() == [["contact_ids"], ["contact_ids"], ["addresses", "date_updated"]]


def test_a_completed_task_leaves_an_activity_that_can_be_deleted(close: Close) -> None:
    """Close's own script that restores leads deletes these in the end, and fails where the list isn't there."""
    lead, path = close.post("lead/", {"name": "X"})["id"], "activity/task_completed/"
    done = close.post("task/", {"lead_id": lead, "text": "call", "is_complete": True})
    later = close.post("task/", {"lead_id": lead, "text": "write"})
    for _ in range(2):
        close.http.put(f"task/{later['id']}/", json={"is_complete": True}).raise_for_status()

    found = close.get(path, lead_id=lead)["data"]

    assert [(each["_type"], each["task_id"]) for each in found] == [
        ("TaskCompleted", later["id"]),
        ("TaskCompleted", done["id"]),
    ]
    assert close.get("activity/", lead_id=lead, _type="TaskCompleted")["data"] == found
    assert len(close.get("event/", object_type="activity.task_completed", action="created")["data"]) == 2
    for each in found:
        assert close.http.delete(f"{path}{each['id']}/").json() == {}
    assert close.get(path, lead_id=lead)["data"] == []
    assert close.http.post(path, json={"lead_id": lead}).status_code == 405


def test_the_events_of_a_request_are_found_by_its_id(close: Close) -> None:
    contact = close.post("contact/", {"name": "Ann"})
    close.post("lead/", {"name": "of another request"})

    request_id = close.get("event/", object_type="contact", object_id=contact["id"])["data"][0]["request_id"]

    found = close.get("event/", request_id=request_id)["data"]
    assert {event["lead_id"] for event in found} == {contact["lead_id"]}
    assert sorted({event["object_type"] for event in found}) == ["contact", "lead"]


CHILDREN = {
    "contact/": {"name": "Ann"},
    "opportunity/": {"note": "big"},
    "task/": {"text": "call"},
    "activity/note/": {"note": "hm"},
    "activity/call/": {"direction": "outbound", "duration": 5},
    "activity/sms/": {"text": "hi"},
    "activity/email/": {"subject": "hi"},
    "activity/meeting/": {"starts_at": "2999-01-01T00:00:00+00:00", "title": "demo"},
}


@pytest.mark.parametrize("path", CHILDREN)
def test_children_are_made_listed_changed_and_deleted(close: Close, path: str) -> None:
    lead, other = close.load({"name": "X"}, {"name": "Y"})
    made = close.post(path, {"lead_id": lead, **CHILDREN[path]})
    close.post(path, {"lead_id": other, **CHILDREN[path]})
    key = next(iter(CHILDREN[path]))

    assert [each["id"] for each in close.get(path, lead_id=lead)["data"]] == [made["id"]]
    changed = close.http.put(f"{path}{made['id']}/", json={"note": "changed"}).json()
    assert close.get(f"{path}{made['id']}/") == changed
    assert changed["note"] == "changed"
    if key != "note":
        assert changed[key] == made[key]
    assert close.http.delete(f"{path}{made['id']}/").json() == {}
    assert close.http.get(f"{path}{made['id']}/").status_code == 404
    events = [each["action"] for each in close.get("event/", lead_id=lead)["data"] if each["object_type"] != "lead"]
    assert events == ["deleted", "updated", "created"]


def test_children_need_a_lead_but_a_contact_makes_its_own(close: Close) -> None:
    orphan = close.http.post("task/", json={"lead_id": "lead_nobody"})
    contact = close.post("contact/", {"name": "Ann"})

    assert orphan.json() == {"field-errors": {"lead_id": "Object does not exist."}, "errors": []}
    assert close.get(f"lead/{contact['lead_id']}/")["name"] == "Ann"


def test_communication_moves_the_leads_dates(close: Close) -> None:
    lead = close.load({"name": "X"})[0]
    for at in ("2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z", "2024-01-01T00:00:00Z"):
        close.post("activity/call/", {"lead_id": lead, "activity_at": at})
    close.post("activity/note/", {"lead_id": lead, "note": "no communication"})

    found = close.get(f"lead/{lead}/", _fields="first_communication_date,last_communication_date,times_communicated")

    assert found == {
        "first_communication_date": "2024-01-01T00:00:00.000000+00:00",
        "last_communication_date": "2024-03-01T00:00:00.000000+00:00",
        "times_communicated": 3,
    }


def test_all_asks_for_the_smart_fields(close: Close) -> None:
    lead = close.load({"name": "X"})[0]

    assert {"num_upcoming_meetings", "last_communication_date", "name"} <= set(
        close.get(f"lead/{lead}/", _fields="_all")
    )
    assert "num_upcoming_meetings" not in close.get(f"lead/{lead}/")


def test_loaded_leads_are_as_given_and_were_always_there(close: Close) -> None:
    given = {"id": "lead_of_mine", "name": "X", "date_updated": "2023-01-02T00:00:00Z", "date_created": "2023-01-01"}
    given |= {"last_communication_date": "2022-01-01", "activities": [{"_type": "Call", "activity_at": "2023-01-01"}]}

    assert close.load(given) == ["lead_of_mine"]

    lead = close.get("lead/lead_of_mine/", _fields="date_updated,last_communication_date")
    assert lead["date_updated"] == "2023-01-02T00:00:00.000000+00:00"
    assert lead["last_communication_date"] == "2022-01-01T00:00:00.000000+00:00"
    assert close.get("event/")["data"] == []


def test_a_load_that_is_wrong_loads_nothing(close: Close) -> None:
    leads = [{"name": "fine"}, {"name": "X", "activities": [{"_type": "Seance"}]}]
    answer = close.http.post(f"{close.base}/sandbox/leads", json=leads)

    assert answer.status_code == 400
    assert "_type" in answer.text
    assert close.get("lead/")["total_results"] == 0


def test_events_are_paged_with_cursors_both_ways(close: Close) -> None:
    for number in range(5):
        close.post("lead/", {"name": str(number)})

    first = close.get("event/", _limit=2)
    second = close.get("event/", _limit=2, _cursor=first["cursor_next"])
    last = close.get("event/", _limit=2, _cursor=second["cursor_next"])
    back = close.get("event/", _limit=2, _cursor=last["cursor_previous"])

    names = [[event["data"]["name"] for event in page["data"]] for page in (first, second, last)]
    assert names == [["4", "3"], ["2", "1"], ["0"]]
    assert (first["cursor_previous"], last["cursor_next"]) == (None, None)
    assert back["data"] == second["data"]


def test_only_some_combinations_of_event_filters_are_allowed(close: Close) -> None:
    assert close.get("event/", object_type="lead", action="deleted")["data"] == []
    assert close.http.get("event/", params={"action": "deleted"}).status_code == 400
    assert close.get("event/", object_type="lead", action="deleted", date_updated__gte="2020-01-01")["data"] == []


def test_a_new_lead_and_its_contacts_get_ids_and_authors_of_closes_own(close: Close) -> None:
    contact = {"id": "cont_old", "lead_id": "lead_old", "created_by": "user_old", "name": "Ann"}

    lead = close.post("lead/", {"id": "lead_old", "name": "X", "created_by": "user_old", "contacts": [contact]})

    found = lead["contacts"][0]
    assert not {"lead_old", "cont_old", "user_old"} & {lead["id"], found["id"], lead["created_by"], found["created_by"]}
    assert found["lead_id"] == lead["id"]


@pytest.mark.parametrize(("switch", "kept"), [("kept", True), ("ignored", False)])
def test_whether_a_date_of_creation_is_kept_where_close_does_not_document_it_is_a_switch(
    close: Close, switch: str, kept: bool
) -> None:
    close.control("POST", "behaviour", {"undocumented_dates": switch})
    long_ago = {"date_created": "2020-01-02T03:04:05.678000+00:00"}

    lead = close.post("lead/", {"name": "X", "contacts": [{"name": "Ann", **long_ago}], **long_ago})
    task = close.post("task/", {"lead_id": lead["id"], "text": "call", **long_ago})
    note = close.post("activity/note/", {"lead_id": lead["id"], "note": "hm", **long_ago})

    dates = [each["date_created"] for each in (lead, lead["contacts"][0], task)]
    assert [each == long_ago["date_created"] for each in dates] == [kept] * 3
    assert note["date_created"] == long_ago["date_created"]


@pytest.mark.parametrize("object_type", ["contact", "opportunity"])
def test_contacts_and_opportunities_have_custom_fields_of_their_own(close: Close, object_type: str) -> None:
    field = close.post(f"custom_field/{object_type}/", {"name": "size", "type": "text"})["id"]
    lead_id = close.post("lead/", {"name": "X"})["id"]

    found = close.post(f"{object_type}/", {"lead_id": lead_id, f"custom.{field}": "large"})
    refused = close.http.post(f"{object_type}/", json={"lead_id": lead_id, "custom.cf_none": "large"})

    assert found[f"custom.{field}"] == "large"
    assert refused.status_code == 400
    assert [each["id"] for each in close.get(f"custom_field/{object_type}/")["data"]] == [field]
    assert field not in [each["id"] for each in close.get("custom_field/lead/")["data"]]


def test_nothing_is_created_for_somebody_who_is_no_member(close: Close) -> None:
    lead_id = close.post("lead/", {"name": "X"})["id"]

    refused = close.http.post("opportunity/", json={"lead_id": lead_id, "user_id": "user_gone"})

    assert (refused.status_code, list(refused.json()["field-errors"])) == (400, ["user_id"])


def test_only_tasks_of_leads_are_listed_unless_others_are_asked_for(close: Close) -> None:
    lead_id = close.post("lead/", {"name": "X"})["id"]
    for kind in ("lead", "outgoing_call"):
        close.post("task/", {"lead_id": lead_id, "_type": kind, "text": kind})

    def listed(**params: str) -> list[str]:
        return sorted(each["text"] for each in close.get("task/", lead_id=lead_id, **params)["data"])

    assert listed() == ["lead"]
    assert listed(_type="outgoing_call") == ["outgoing_call"]
    assert listed(_type="all") == ["lead", "outgoing_call"]


def test_an_sms_has_one_of_closes_statuses(close: Close) -> None:
    lead_id = close.post("lead/", {"name": "X"})["id"]
    body = {"lead_id": lead_id, "text": "Hi"}

    assert close.post("activity/sms/", {**body, "status": "draft"})["status"] == "draft"
    assert close.http.post("activity/sms/", json={**body, "status": "lost"}).status_code == 400


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [("number", 3.5, "3"), ("date", "2024-01-31", "soon"), ("datetime", "2024-01-31T12:00:00Z", 5), ("text", "a", 5)],
)
def test_a_custom_field_takes_only_values_of_its_type(close: Close, kind: str, good: object, bad: object) -> None:
    """Text in a field of numbers would be found by any range of numbers."""
    key = f"custom.{close.post('custom_field/lead/', {'name': kind, 'type': kind})['id']}"
    lead = close.post("lead/", {"name": "X", key: good})
    contact_key = f"custom.{close.post('custom_field/contact/', {'name': kind, 'type': kind})['id']}"

    refused = [
        close.http.post("lead/", json={"name": "Y", key: bad}),
        close.http.put(f"lead/{lead['id']}/", json={key: bad}),
        close.http.put(f"lead/{lead['id']}/", json={key: [good]}),
    ]
    contact = close.http.post("contact/", json={"lead_id": lead["id"], contact_key: bad})

    assert [(answer.status_code, list(answer.json()["field-errors"])) for answer in refused] == [(400, [key])] * 3
    assert (contact.status_code, list(contact.json()["field-errors"])) == (400, [contact_key])
    assert close.get(f"lead/{lead['id']}/")[key] == good


ENDS_OF_TIME = ("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+14:00", "9999-12-31", "0001-01-01")


@pytest.mark.parametrize("moment", ENDS_OF_TIME)
def test_moments_at_the_ends_of_time_are_compared_or_refused(close: Close, moment: str) -> None:
    lead = close.post("lead/", {"name": "X"})["id"]
    key = f"custom.{close.post('custom_field/lead/', {'name': 'when', 'type': 'datetime'})['id']}"
    note, meeting = {"lead_id": lead, "note": "hm"}, {"lead_id": lead, "title": "demo"}
    answers = [
        close.http.get("event/", params={"date_updated__lt": moment}),
        close.http.get("opportunity/", params={"date_created__gte": moment}),
        close.http.get("task/", params={"date__lte": moment}),
        close.http.get("activity/note/", params={"activity_at__gt": moment}),
        close.http.put(f"lead/{lead}/", json={key: moment}),
        close.http.post("activity/note/", json={**note, "activity_at": moment}),
        close.http.post("activity/meeting/", json={**meeting, "starts_at": moment}),
        close.http.post("lead/", json={"name": "Y", "date_created": moment}),
    ]

    assert {answer.status_code for answer in answers} <= {200, 400}
    assert close.get("lead/")["total_results"] >= 1
    close.get("activity/", lead_id=lead)


@pytest.mark.parametrize("cursor", ["n" + "1" * 24, "n" + "1" * 5000, "n-1", "x", "n"])
def test_a_cursor_that_no_page_of_events_gave_is_refused(close: Close, cursor: str) -> None:
    answer = close.http.get("event/", params={"_cursor": cursor})

    assert (answer.status_code, list(answer.json()["field-errors"])) == (400, ["_cursor"])


def test_a_cursor_that_no_search_gave_is_refused(close: Close) -> None:
    for cursor in ("NQ==", "x", "bnVsbA==", "é"):
        answer = close.http.post("data/search/", json={"query": {"type": "match_all"}, "cursor": cursor})

        assert (answer.status_code, list(answer.json()["field-errors"])) == (400, ["cursor"])


@pytest.mark.parametrize("value", ['"\\ud800"', "NaN", "-Infinity", "1e400", '[{"deep": "\\udfff"}]'])
@pytest.mark.parametrize("key", ["note", "anything"])
def test_what_no_answer_could_repeat_is_refused(close: Close, key: str, value: str) -> None:
    """In a field that the sandbox doesn't read too: it is kept, and would break every list that shows it."""
    lead = close.post("lead/", {"name": "X"})["id"]
    body = f'{{"lead_id": "{lead}", "{key}": {value}}}'

    answer = close.http.post("activity/note/", content=body, headers={"content-type": "application/json"})

    assert (answer.status_code, list(answer.json()["field-errors"])) == (400, [key])
    assert close.get("activity/", lead_id=lead)["data"] == []
