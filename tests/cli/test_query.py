"""``lead-cleanup query`` prints what would be sent, and asks Close for names only."""

import json

import pytest
from support.close_account import CloseAccount
from support.terminal_session import Command


def test_criteria_without_names_need_no_key_and_no_request(
    lead_cleanup: Command, sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("CLOSE_API_KEY")

    said = lead_cleanup("query", "--match.inactive-months", "12")

    assert (said.code, said.err) == (0, "")
    assert said.json["queries"][0] == {"type": "object_type", "object_type": "lead"}
    assert sandbox.requests() == []


def test_names_are_read_and_stand_as_ids_in_the_query(lead_cleanup: Command, sandbox: CloseAccount):
    statuses = {each["label"]: each["id"] for each in sandbox.get("/status/lead/")["data"]}

    said = lead_cleanup("query", "junk")

    assert statuses["Junk"] in json.dumps(said.json)
    assert sandbox.writes() == []


def test_close_counts_what_was_printed(lead_cleanup: Command, sandbox: CloseAccount):
    """The query can be used elsewhere as it is."""
    sandbox.reset(leads=200)
    said = lead_cleanup("query", "--match.inactive-months", "12")

    found = sandbox.post("/data/search/", query=said.json, include_counts=True, results_limit=0)

    assert 0 < found["count"]["total"] < 200


def test_a_weakened_keep_rule_is_said(lead_cleanup: Command, sandbox: CloseAccount):
    said = lead_cleanup("query", "junk", "--keep.created-within-days", "10")

    assert said.code == 0
    assert "Note: keep.created_within_days of the deployment (30)" in said.err


def test_the_organisations_never_delete_view_is_in_every_query(
    lead_cleanup: Command, sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch
):
    plain = lead_cleanup("query", "--match.inactive-months", "12")
    monkeypatch.setenv("CLOSE_KEEP_SMART_VIEW", "Never delete")

    said = lead_cleanup("query", "--match.inactive-months", "12")

    assert len(said.json["queries"]) == len(plain.json["queries"]) + 1
