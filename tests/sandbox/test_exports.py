"""Exports: a file of the leads a query finds, made in the background."""

import time
from typing import Any

import httpx
import pytest
from words_for_close import LEAD, Close, both, where

GOOD = both(LEAD, where("name", "text", mode="full_words", value="good"))


def export(close: Close, **body: Any) -> tuple[dict[str, Any], httpx.Response]:
    """The finished export and its file."""
    found = close.post("export/lead/", {"send_done_email": False, **body})
    assert (found["status"], found["n_docs"], found["download_url"]) == ("created", None, None)
    deadline = time.monotonic() + 10
    while found["status"] != "done":
        assert time.monotonic() < deadline
        time.sleep(0.02)
        found = close.get(f"export/{found['id']}/")
    return found, httpx.get(found["download_url"])


def test_a_json_export_has_whole_leads(close: Close) -> None:
    good = {"name": "good", "contacts": [{"name": "Ann"}], "activities": [{"_type": "Note", "note": "hm"}]}
    ids = close.load(good, {"name": "bad"})

    found, file = export(close, s_query=GOOD, format="json", include_activities=True, include_smart_fields=True)

    assert (found["n_docs"], found["n_docs_processed"]) == (1, 1)
    assert file.headers["content-encoding"] == "gzip"
    (lead,) = file.json()
    assert (lead["id"], lead["contacts"][0]["name"], lead["activities"][0]["note"]) == (ids[0], "Ann", "hm")
    assert lead["num_notes"] == 1


def test_without_a_query_it_is_every_lead(close: Close) -> None:
    close.load({"name": "a"}, {"name": "b"})

    found, file = export(close, format="json", fields=["id", "name"])

    assert found["n_docs"] == 2
    assert [set(lead) for lead in file.json()] == [{"id", "name"}] * 2


@pytest.mark.parametrize("body", [{"format": "csv"}, {"format": "json", "type": "contacts"}])
def test_other_exports_than_of_leads_as_json_are_refused(close: Close, body: dict[str, str]) -> None:
    answer = close.http.post("export/lead/", json=body)

    assert answer.status_code == 400
    assert "The sandbox doesn't export" in answer.json()["field-errors"][list(body)[-1]]


def test_exporting_needs_the_permission(close: Close) -> None:
    assert close.as_user.post("export/lead/", json={"format": "json"}).status_code == 403


def test_bad_options_are_named(close: Close) -> None:
    for body in ({"format": "xml"}, {"s_query": {"type": "nope"}}, {"results_limit": -1}):
        answer = close.http.post("export/lead/", json={"format": "json", **body})
        assert (answer.status_code, list(answer.json()["field-errors"])) == (400, list(body))


def test_the_list_shows_the_latest_first(close: Close) -> None:
    ids = [export(close, format="json")[0]["id"] for _ in range(2)]

    assert [each["id"] for each in close.get("export/")["data"]] == ids[::-1]
    assert httpx.get(f"{close.base}/download/expo_nobody.json").status_code == 404
