"""From an exported lead to the objects to create: only what can be created, and nothing that sends."""

from typing import Any

import pytest

from tasks.close.resources import CustomField, Kind
from tasks.restore.id_mapping import IdMapping, Inventory
from tasks.restore.new_objects import NewObject, check_sends_nothing, new_lead, pair_contacts, same_words

INVENTORY = Inventory(
    lead_statuses={"stat_1": "Junk"},
    opportunity_statuses={"stat_o": "Open"},
    users=frozenset({"user_1"}),
    custom_fields={
        "lead": {
            "cf_1": CustomField(id="cf_1", name="one", type="text"),
            "cf_who": CustomField(id="cf_who", name="who", type="user"),
        }
    },
)


def new_objects(**lead: Any) -> tuple[list[NewObject], IdMapping]:
    mapping = IdMapping(INVENTORY)
    return [*new_lead({"id": "lead_1", **lead}, mapping).objects], mapping


def activity(kind: str, **fields: Any) -> tuple[dict[str, Any], IdMapping]:
    found, mapping = new_objects(activities=[{"_type": kind, "id": "acti_1", **fields}])
    return dict(found[0].body), mapping


def test_only_fields_that_are_known_to_be_the_leads_own_are_sent() -> None:
    lead = {
        "id": "lead_1",
        "name": "Acme",
        "description": "",
        "url": None,
        "status_id": "stat_1",
        "status_label": "Potential",
        "html_url": "https://app.close.com/lead/lead_1/",
        "created_by": "user_1",
        "custom": {"one": "x"},
        "custom.cf_1": "x",
        "addresses": [{"city": "Bonn", "country": None, "id": "addr_1"}],
        "contacts": [
            {
                "id": "cont_1",
                "name": "Ann",
                "emails": [{"email": "a@x.example", "type": "office", "is_unsubscribed": False}],
                "phones": [{"phone": "+1", "type": "office", "phone_formatted": "1", "country": "US"}],
            }
        ],
    }

    made = new_lead(lead, IdMapping(INVENTORY))

    assert made.body == {
        "name": "Acme",
        "description": "",
        "status_id": "stat_1",
        "custom.cf_1": "x",
        "addresses": [{"city": "Bonn"}],
        "contacts": [
            {
                "name": "Ann",
                "emails": [{"email": "a@x.example", "type": "office"}],
                "phones": [{"phone": "+1", "type": "office"}],
            }
        ],
    }
    assert made.counts() == {"lead": 1, "contact": 1}


def test_an_object_gets_the_new_ids_of_its_lead_and_contact() -> None:
    [found], _ = new_objects(opportunities=[{"id": "oppo_1", "note": "n", "contact_id": "cont_1", "lead_id": "lead_1"}])

    assert found.to_send("lead_new", {"cont_1": "cont_new"}) == {
        "note": "n",
        "lead_id": "lead_new",
        "contact_id": "cont_new",
    }
    assert "contact_id" not in found.to_send("lead_new", {})


@pytest.mark.parametrize("status", ["scheduled", "outbox", "error", "sending", None, "something new"])
def test_an_sms_that_was_neither_received_nor_sent_is_a_draft(status: str | None) -> None:
    body, mapping = activity("SMS", text="Hi", status=status, date_scheduled="2999-01-01", send_in=5, template_id="t")

    assert body == {"text": "Hi", "status": "draft"}
    assert mapping.lost == {"SMS that were to be sent, and become drafts": 1}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("sms", {"status": "outbox"}),
        ("sms", {"status": "scheduled"}),
        ("sms", {"text": "no status"}),
        ("sms", {"status": "draft", "send_in": 5}),
        ("call", {"source": "Close.io"}),
        ("call", {}),
        ("note", {"date_scheduled": "2999-01-01"}),
    ],
)
def test_the_last_look_before_each_post_lets_nothing_through_that_sends(kind: Kind, body: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError, match="nothing that sends"):
        check_sends_nothing(kind, body)


def test_a_rich_text_goes_as_html_where_there_is_any() -> None:
    assert activity("Note", note="a", note_html="<p>a</p>")[0] == {"note_html": "<p>a</p>"}
    assert activity("Note", note="a", note_html="")[0] == {"note": "a"}
    assert activity("Note", note="a", note_html=None)[0] == {"note": "a"}


def test_tasks_that_only_close_makes_are_counted_as_lost() -> None:
    tasks = [{"id": "task_1", "_type": "missed_call"}, {"id": "task_2", "_type": "outgoing_call", "text": "Call"}]

    found, mapping = new_objects(tasks=tasks)

    assert [each.body for each in found] == [{"_type": "outgoing_call", "text": "Call"}]
    assert mapping.lost == {"tasks that only Close makes": 1}


def test_what_somebody_who_left_has_done_is_kept_without_them() -> None:
    body, mapping = activity("Note", note="n", user_id="user_gone", user_name="Old Hand")

    assert body == {"note": "n"}
    assert [(each.kind, each.label) for each in mapping.missing] == [("user", "Old Hand")]


def test_what_stands_for_a_missing_user_stands_in_custom_fields_too() -> None:
    mapping = IdMapping(INVENTORY, {"user_gone": "user_1"})

    made = new_lead({"id": "lead_1", "custom.cf_who": "user_gone"}, mapping)

    assert made.body == {"custom.cf_who": "user_1"}
    assert not mapping.missing


def contact(contact_id: str, name: str, *emails: str) -> dict[str, Any]:
    return {"id": contact_id, "name": name, "emails": [{"email": each} for each in emails]}


def test_contacts_are_paired_by_name_and_address_in_whatever_order_they_come() -> None:
    old = [contact("a", "Ann", "a@x.example"), contact("b", "Ben"), contact("c", "Ann", "c@x.example")]
    new = [contact("C", "Ann", "C@x.example"), contact("B", "Ben"), contact("A", "Ann", "a@x.example")]

    assert pair_contacts(old, new) == {"a": "A", "b": "B", "c": "C"}


def test_contacts_that_close_writes_otherwise_are_paired_by_their_place() -> None:
    old = [contact("a", "Ann"), contact("b", "Ben"), contact("c", "C")]
    new = [contact("A", "Ann!"), contact("B", "Ben"), contact("C", "see")]

    assert pair_contacts(old, new) == {"a": "A", "b": "B", "c": "C"}


def test_words_are_the_same_whatever_tags_and_spaces_are_around_them() -> None:
    sent = {"note_html": "<p>Asked  for <b>prices</b> &amp; more</p>"}

    assert same_words("note", sent, {"note": "Asked for prices & more"})
    assert not same_words("note", sent, {"note": "Asked for prices"})
    assert not same_words("opportunity", {"note": "n", "value": 1}, {"note": "n", "value": 2})
    assert not same_words("lead", {"name": "A", "contacts": [{"name": "x"}]}, {"name": "A", "contacts": []})
