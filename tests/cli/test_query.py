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
    assert "Note: Less careful than its deployment: created within days 10 instead of 30" in said.err


def test_the_organisations_never_delete_view_is_in_every_query(
    lead_cleanup: Command, sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch
):
    plain = lead_cleanup("query", "--match.inactive-months", "12")
    monkeypatch.setenv("CLOSE_KEEP_SMART_VIEW", "Never delete")

    said = lead_cleanup("query", "--match.inactive-months", "12")

    assert len(said.json["queries"]) == len(plain.json["queries"]) + 1


def _within(field: dict[str, str], **bounds: object) -> dict[str, object]:
    return {"type": "field_condition", "field": field, "condition": {"type": "moment_range", **bounds}}


@pytest.mark.parametrize("where", ["flag", "match view", "never-delete view"])
def test_a_day_on_a_field_of_dates_is_sent_as_a_day(
    where: str, lead_cleanup: Command, sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch
):
    """Whether a field holds dates is asked of Close, wherever the query comes from."""
    renewal = sandbox.post("/custom_field/lead/", name="renewal", type="date")["id"]
    field = {"type": "custom_field", "custom_field_id": renewal}
    today = {"type": "start_end_of_predefined_relative_period", "range": "today", "which": "start"}
    query = _within(field, on_or_after={"type": "fixed_local_date", "value": "2024-01-01", "which": "start"})
    leads = {"type": "object_type", "object_type": "lead"}
    both = {"type": "and", "queries": [leads, query, _within(field, before=today)]}
    sandbox.post("/saved_search/", name="Renewals", type="lead", s_query={"query": both, "sort": []})
    if where == "never-delete view":
        monkeypatch.setenv("CLOSE_KEEP_SMART_VIEW", "Renewals")
    flags = {"flag": ["--match.s-query", json.dumps(both)], "match view": ["--match.smart-view", "Renewals"]}

    said = lead_cleanup("query", *flags.get(where, ["--match.status", "Junk"]), "--time-zone", "America/New_York")

    assert said.code == 0, said.err
    printed = json.dumps(said.json)
    assert '{"type": "fixed_local_date", "value": "2024-01-01", "which": "start"}' in printed
    assert printed.count("fixed_local_date") == 2, "today is a day as well"
    assert "T05:00" not in printed
    assert sandbox.post("/data/search/", query=said.json, results_limit=0)["data"] == []


def test_a_day_on_a_field_that_close_doesnt_list_is_refused(lead_cleanup: Command, sandbox: CloseAccount):
    field = {"type": "custom_field", "custom_field_id": "cf_gone"}
    query = _within(field, before={"type": "fixed_local_date", "value": "2024-01-01", "which": "start"})

    said = lead_cleanup("query", "--match.s-query", json.dumps(query))

    said.is_one_line("match.s_query can't be used: it compares cf_gone with a day", code=3)
