"""A bulk delete's life, what it leaves behind, and what it does where Close's behaviour is unknown."""

import time
from typing import Any

import pytest
from words_for_close import ANY, LEAD, Close, both, related, utc, where

JUNK = where("name", "text", mode="full_words", value="junk")
KEYS = {
    *("id", "organization_id", "bulk_object_type", "status", "s_query", "query", "sort", "results_limit"),
    *("send_done_email", "n_leads", "n_leads_processed", "n_objects", "n_objects_processed", "date_created"),
    *("date_updated", "created_by", "updated_by"),
}


def junk(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"name": f"junk {number}", "date_created": f"2020-01-{number + 1:02}", **more} for number in range(count)]


def test_it_is_created_loading_processing_done(close: Close) -> None:
    """The totals are unknown until it is processing; every answer has all 17 keys."""
    close.load(*junk(20), {"name": "good"})
    close.control("POST", "jobs", {"leads_per_second": 40, "created_seconds": 0.2, "loading_seconds": 0.2})

    seen: list[dict[str, Any]] = [close.start(JUNK)]
    while seen[-1]["status"] != "done":
        time.sleep(0.02)
        seen.append(close.job(seen[0]))

    assert list(dict.fromkeys(job["status"] for job in seen)) == ["created", "loading", "processing", "done"]
    assert all(set(job) == KEYS for job in seen)
    assert {(job["n_leads"], job["n_objects"]) for job in seen if job["status"] in ("created", "loading")} == {
        (None, None)
    }
    assert {job["n_leads"] for job in seen if job["status"] == "processing"} == {20}
    processed = [job["n_leads_processed"] for job in seen]
    assert processed == sorted(processed)
    assert any(0 < count < 20 for count in processed)
    assert seen[-1]["n_objects_processed"] == 20
    assert close.names() == ["good"]


def test_it_echoes_the_query_as_it_was_sent(close: Close) -> None:
    sent = {"queries": [LEAD, {"type": "match_all"}], "type": "and"}

    job = close.post("bulk_action/delete/", {"s_query": sent, "send_done_email": False})

    assert list(job["s_query"]) == ["queries", "type"]
    assert job["s_query"] == sent
    assert (job["send_done_email"], job["sort"], job["query"], job["results_limit"]) == (False, [], None, None)


def test_it_can_echo_another_form_of_the_query(close: Close) -> None:
    close.control("POST", "behaviour", {"echo": "normalised"})

    job = close.start(related("contact", ANY))

    nodes = job["s_query"]["queries"]
    assert [node["negate"] for node in (job["s_query"], *nodes, nodes[1]["related_query"])] == [False] * 4


@pytest.mark.parametrize(
    ("switch", "spelled"),
    [
        ("microseconds", "2026-01-31T10:20:30.515000+00:00"),
        ("space", "2026-01-31 10:20:30.515000+00:00"),
        ("no_zone", "2026-01-31T10:20:30.515000"),
    ],
)
def test_it_can_echo_instants_in_another_spelling(close: Close, switch: str, spelled: str) -> None:
    close.control("POST", "behaviour", {"echo": switch})
    field = {"type": "regular_field", "object_type": "contact", "field_name": "date_created"}
    before = {"type": "moment_range", "before": {"type": "fixed_utc", "value": "2026-01-31T10:20:30.515Z"}}

    job = close.start(related("contact", {"type": "field_condition", "field": field, "condition": before}))

    [_, has_related] = job["s_query"]["queries"]
    assert has_related["related_query"]["condition"]["before"] == {"type": "fixed_utc", "value": spelled}


def test_the_leads_go_with_all_that_belongs_to_them_and_events_say_what_they_were(close: Close) -> None:
    lead = {
        "name": "junk",
        "contacts": [{"name": "Ann", "emails": [{"email": "ann@x.example"}]}],
        "opportunities": [{"value": 5}],
        "tasks": [{"text": "call"}],
        "activities": [{"_type": "Call"}, {"_type": "Note", "note": "hm"}],
    }
    lead_id = close.load(lead)[0]

    job = close.until(close.start(JUNK), "done")

    assert close.http.get(f"lead/{lead_id}/").status_code == 404
    for path in ("contact/", "opportunity/", "task/", "activity/"):
        assert close.get(path)["data"] == [], path
    events = close.get("event/", lead_id=lead_id)["data"]
    assert sorted(event["object_type"] for event in events) == [
        *("activity.call", "activity.note", "contact", "lead", "opportunity", "task.lead")
    ]
    assert {event["action"] for event in events} == {"deleted"}
    assert {event["meta"]["bulk_action_id"] for event in events} == {job["id"]}
    before = {event["object_type"]: event["previous_data"] for event in events}
    assert (before["lead"]["display_name"], before["lead"]["status_label"]) == ("junk", "Potential")
    assert before["contact"]["emails"][0]["email"] == "ann@x.example"


def test_the_job_itself_is_in_the_event_log(close: Close) -> None:
    close.load(*junk(1))

    job = close.until(close.start(JUNK), "done")

    events = close.get("event/", object_type="bulk_action.delete", object_id=job["id"])["data"]
    assert [event["action"] for event in events] == ["completed", "updated", "updated", "created"]
    assert events[0]["data"]["status"] == "done"


def test_results_limit_and_sort_decide_which_leads(close: Close) -> None:
    close.load(*reversed(junk(5)))
    oldest_first = [
        {"direction": "asc", "field": {"type": "regular_field", "object_type": "lead", "field_name": "date_created"}}
    ]

    job = close.until(close.start(JUNK, results_limit=2, sort=oldest_first), "done")

    assert job["n_leads"] == 2
    assert sorted(close.names()) == ["junk 2", "junk 3", "junk 4"]


@pytest.mark.parametrize(("matching", "processed", "left"), [("at_loading", 3, []), ("at_processing", 2, ["good now"])])
def test_matches_are_fixed_while_it_is_loading_or_asked_again_for_each_lead(
    close: Close, matching: str, processed: int, left: list[str]
) -> None:
    close.control("POST", "behaviour", {"matching": matching})
    ids = close.load(*junk(3))
    close.control("POST", "jobs", {"stall_after": 1})
    job = close.start(JUNK)
    while close.job(job)["n_leads_processed"] < 1:
        time.sleep(0.01)
    close.http.put(f"lead/{ids[2]}/", json={"name": "good now"})

    _go_on(close, job)

    assert close.until(job, "done")["n_leads_processed"] == processed
    assert close.names() == left


def _go_on(close: Close, job: dict[str, Any]) -> None:
    for status in ("paused", "resuming"):
        answer = close.http.put(f"bulk_action/delete/{job['id']}/", json={"status": status})
        assert answer.status_code == 200, answer.text


def test_pause_and_resume(close: Close) -> None:
    close.load(*junk(30))
    close.control("POST", "jobs", {"leads_per_second": 30})
    job = close.until(close.start(JUNK), "processing")

    paused = close.http.put(f"bulk_action/delete/{job['id']}/", json={"status": "paused"}).json()
    time.sleep(0.15)

    assert paused["status"] == "paused"
    assert close.job(job)["n_leads_processed"] == paused["n_leads_processed"] < 30
    close.http.put(f"bulk_action/delete/{job['id']}/", json={"status": "resuming"})
    assert close.until(job, "done")["n_leads_processed"] == 30
    late = close.http.put(f"bulk_action/delete/{job['id']}/", json={"status": "paused"})
    assert (late.status_code, list(late.json()["field-errors"])) == (400, ["status"])


@pytest.mark.parametrize(("switch", "status"), [("ignored", 200), ("refused", 405)])
def test_pausing_may_have_no_effect(close: Close, switch: str, status: int) -> None:
    close.load(*junk(3))
    close.control("POST", "behaviour", {"pause": switch})
    job = close.start(JUNK)

    assert close.http.put(f"bulk_action/delete/{job['id']}/", json={"status": "paused"}).status_code == status
    close.until(job, "done")


def test_it_can_fail_half_way(close: Close) -> None:
    close.load(*junk(5))
    close.control("POST", "jobs", {"fail_after": 2})

    job = close.until(close.start(JUNK), "error")

    assert (job["n_leads"], job["n_leads_processed"], len(close.names())) == (5, 2, 3)


def test_it_can_stall(close: Close) -> None:
    close.load(*junk(5))
    close.control("POST", "jobs", {"stall_after": 2})
    job = close.until(close.start(JUNK), "processing")

    time.sleep(0.3)

    now = close.job(job)
    assert (now["status"], now["n_leads_processed"]) == ("processing", 2)


@pytest.mark.parametrize("status", [None, "sleeping"])
def test_it_can_show_a_status_that_nobody_knows_while_the_work_goes_on(close: Close, status: str | None) -> None:
    close.load(*junk(5))
    close.control("POST", "jobs", {"status": status})

    job = close.until(close.start(JUNK), status)
    while close.names():
        time.sleep(0.02)

    assert close.job(job)["status"] == status


def test_it_can_be_found_paused(close: Close) -> None:
    close.load(*junk(5))
    close.control("POST", "jobs", {"status": "paused", "stall_after": 3})

    job = close.until(close.start(JUNK), "paused")

    assert job["n_leads_processed"] == 3
    close.http.put(f"bulk_action/delete/{job['id']}/", json={"status": "resuming"})
    assert close.until(job, "done")["n_leads_processed"] == 5


def test_a_user_may_not_start_one_but_may_delete_single_leads(close: Close) -> None:
    lead = close.load(*junk(1))[0]

    answer = close.as_user.post("bulk_action/delete/", json={"s_query": LEAD})

    assert answer.status_code == 403
    assert "permission" in answer.json()["error"]
    assert close.get("bulk_action/delete/")["data"] == []
    assert (gone := close.as_user.delete(f"lead/{lead}/")).status_code == 200
    assert gone.json() == {}


def test_not_allowed_may_be_a_401(close: Close) -> None:
    close.control("POST", "behaviour", {"not_allowed_status": 401})

    answer = close.as_user.post("bulk_action/delete/", json={"s_query": LEAD})

    assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})


@pytest.mark.parametrize("body", [{}, {"s_query": None}, {"s_query": {}}])
def test_without_a_query_it_is_refused(close: Close, body: dict[str, Any]) -> None:
    answer = close.http.post("bulk_action/delete/", json=body)

    assert answer.status_code == 400
    assert answer.json() == {"field-errors": {"s_query": "This field is required."}, "errors": []}


def test_or_deletes_everything_if_the_switch_says_so(close: Close) -> None:
    close.control("POST", "behaviour", {"missing_s_query": "all_leads"})
    close.load(*junk(3))

    close.until(close.post("bulk_action/delete/", {"send_done_email": False}), "done")

    assert close.names() == []


@pytest.mark.parametrize(
    "s_query",
    [
        {"query": LEAD, "results_limit": None, "sort": []},
        {"type": "object_type", "object_type": "contact"},
        both(LEAD, where("nope", "exists")),
        "lead_status:Potential",
    ],
)
def test_bad_queries_are_refused_under_their_key(close: Close, s_query: Any) -> None:
    answer = close.http.post("bulk_action/delete/", json={"s_query": s_query})

    assert answer.status_code == 400
    assert list(answer.json()["field-errors"]) == ["s_query"]


def test_the_list_is_paged_newest_first(close: Close) -> None:
    ids = [close.start(JUNK)["id"] for _ in range(3)]

    first = close.get("bulk_action/delete/", _limit=2)
    rest = close.get("bulk_action/delete/", _limit=2, _skip=2, _fields="id,status")

    assert [job["id"] for job in first["data"]] == ids[:0:-1]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert [set(job) for job in rest["data"]] == [{"id", "status"}]
    close.control("POST", "behaviour", {"bulk_delete_order": "oldest_first"})
    assert [job["id"] for job in close.get("bulk_action/delete/")["data"]] == ids


def test_nobody_else_sees_it(close: Close) -> None:
    job = close.start(JUNK)

    assert close.as_other.get(f"bulk_action/delete/{job['id']}/").status_code == 404
    assert close.as_other.get("bulk_action/delete/").json()["data"] == []


def test_the_time_zone_of_the_request_counts(close: Close) -> None:
    close.load({"name": "junk", "date_created": "2024-01-01T03:00:00Z"})
    new_year = {"type": "fixed_local_date", "value": "2024-01-01", "which": "start"}
    s_query = both(LEAD, where("date_created", "moment_range", before=new_year))

    in_utc = close.until(close.post("bulk_action/delete/", {"s_query": s_query}), "done")
    in_new_york = close.until(close.post("bulk_action/delete/", {"s_query": s_query}, **{"x-tz-offset": "-5"}), "done")

    assert (in_utc["n_leads"], in_new_york["n_leads"]) == (0, 1)


def test_the_search_index_may_lag_behind(close: Close) -> None:
    """Deleted leads are still found for a while, new ones not yet; reading by id is always up to date."""
    close.control("POST", "behaviour", {"index_lag_seconds": 0.5})
    old = close.load(*junk(1))[0]
    assert close.names() == []
    time.sleep(0.6)
    assert close.names() == ["junk 0"]

    close.until(close.start(JUNK), "done")

    assert close.names() == ["junk 0"]
    assert close.http.get(f"lead/{old}/").status_code == 404
    assert close.get("lead/")["total_results"] == 0
    time.sleep(0.7)
    assert close.names() == []
    assert len(close.deleted()) == 1


def test_a_lead_deleted_by_someone_else_meanwhile_is_deleted_once(close: Close) -> None:
    ids = close.load(*junk(3))
    close.control("POST", "jobs", {"stall_after": 1})
    job = close.start(JUNK)
    while close.job(job)["n_leads_processed"] < 1:
        time.sleep(0.01)
    close.http.delete(f"lead/{ids[1]}/")

    _go_on(close, job)

    assert close.until(job, "done")["n_leads_processed"] == 3
    assert len(close.deleted()) == 3


def test_a_view_that_goes_away_while_it_waits_is_an_error(close: Close) -> None:
    wrapper = {"query": both(LEAD, JUNK)}
    view = close.post("saved_search/", {"name": "junk", "s_query": wrapper})
    close.control("POST", "jobs", {"created_seconds": 0.3})
    job = close.start({"type": "saved_search", "saved_search_id": view["id"]})

    close.http.delete(f"saved_search/{view['id']}/")

    assert close.until(job, "error", "done")["status"] == "error"


def test_before_a_moment_in_the_future_is_everything(close: Close) -> None:
    close.load(*junk(2))

    close.until(close.start(where("date_created", "moment_range", before=utc("2999-01-01T00:00:00.123Z"))), "done")

    assert close.names() == []
