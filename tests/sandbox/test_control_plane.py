"""Faults, the journal, rate limits, switches: how tests steer the sandbox."""

import json
import time

import httpx
import pytest
from words_for_close import LEAD, Close


def order(close: Close, fault: str, method: str = "GET", path: str = "/me/", **more: object) -> None:
    close.control("POST", "faults", [{"method": method, "path": path, "fault": fault, **more}])


def test_the_journal_lists_what_was_asked_of_the_api(close: Close) -> None:
    close.get("me/", _fields="id")
    close.http.get("nothing/")
    close.control("GET", "jobs")

    journal = close.control("GET", "requests")

    assert [(each["method"], each["path"], each["status"]) for each in journal] == [
        ("GET", "/me/", 200),
        ("GET", "/nothing/", 404),
    ]
    assert set(journal[0]) == {"method", "path", "status", "at"}
    close.control("DELETE", "requests")
    assert close.control("GET", "requests") == []


@pytest.mark.parametrize(("fault", "jobs"), [("drop_before", 0), ("drop_after", 1)])
def test_a_connection_is_cut_before_or_after_the_effect(close: Close, fault: str, jobs: int) -> None:
    order(close, fault, "POST", "/bulk_action/delete/")

    with pytest.raises(httpx.RemoteProtocolError):
        close.http.post("bulk_action/delete/", json={"s_query": LEAD})

    assert len(close.get("bulk_action/delete/")["data"]) == jobs
    assert close.control("GET", "requests")[0]["status"] is None


def test_an_answer_may_be_late(close: Close) -> None:
    order(close, "delay", seconds=0.3)
    began = time.monotonic()

    with pytest.raises(httpx.ReadTimeout):
        close.http.get("me/", timeout=0.1)
    close.get("me/")

    assert time.monotonic() - began < 0.3


def test_an_effect_may_be_late_too(close: Close) -> None:
    order(close, "delay", "POST", "/bulk_action/delete/", seconds=0.4, before=True)

    with pytest.raises(httpx.ReadTimeout):
        close.http.post("bulk_action/delete/", json={"s_query": LEAD}, timeout=0.1)

    assert close.get("bulk_action/delete/")["data"] == []
    time.sleep(0.5)
    assert len(close.get("bulk_action/delete/")["data"]) == 1


def test_answers_may_be_garbage_or_cut_short(close: Close) -> None:
    order(close, "garbage")
    order(close, "garbage", status=502)
    order(close, "truncate")
    page, gateway, half = (close.http.get("me/") for _ in range(3))

    assert (page.status_code, gateway.status_code, half.status_code) == (200, 502, 200)
    assert page.headers["content-type"] == "text/html"
    for answer in (page, half):
        with pytest.raises(json.JSONDecodeError):
            answer.json()


def test_a_status_comes_without_the_effect(close: Close) -> None:
    order(close, "status", "POST", "/bulk_action/delete/", status=503)

    assert close.http.post("bulk_action/delete/", json={"s_query": LEAD}).status_code == 503
    assert close.get("bulk_action/delete/")["data"] == []


def test_a_rate_limit_on_demand_is_short(close: Close) -> None:
    order(close, "rate_limit")

    answer = close.http.get("me/")

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.headers["ratelimit"] == "limit=1, remaining=0, reset=0.2"
    assert answer.json()["error"]["rate_reset"] == 0.2
    close.get("me/")


def test_an_answer_is_edited_whatever_it_says(close: Close) -> None:
    order(close, "edit", fields={"email": "else@example.com"}, omit=["memberships"])
    order(close, "edit", path="/status/lead/", fields={"organization_id": "orga_else"})

    me = close.get("/me/")
    statuses = close.get("/status/lead/")["data"]

    assert me["email"] == "else@example.com"
    assert "memberships" not in me
    assert {each["organization_id"] for each in statuses} == {"orga_else"}
    assert close.get("/me/")["email"] != "else@example.com"


def test_a_drop_may_come_late(close: Close) -> None:
    """To a client that waits less it is a time-out, of a request that had no effect."""
    order(close, "drop_before", seconds=0.2)

    began = time.monotonic()
    with pytest.raises(httpx.RemoteProtocolError):
        close.get("/me/")

    assert time.monotonic() - began >= 0.2


def test_faults_hit_so_many_requests_after_letting_some_through(close: Close) -> None:
    order(close, "status", path="/bulk_action/delete/", status=500, times=2, after=1)
    job = close.start()["id"]

    statuses = [close.http.get(f"bulk_action/delete/{job}/").status_code for _ in range(4)]

    assert statuses == [200, 500, 500, 200]


def test_faults_can_be_called_off(close: Close) -> None:
    order(close, "status", times=9)
    close.control("DELETE", "faults")

    close.get("me/")


@pytest.mark.parametrize("body", [[{"fault": "earthquake"}], [{"fault": "delay", "tiems": 1}]])
def test_a_misspelt_fault_is_refused(close: Close, body: object) -> None:
    assert close.http.post(f"{close.base}/sandbox/faults", json=body).status_code == 400


def test_switches_explain_themselves(close: Close) -> None:
    switches = close.control("GET", "behaviour")

    assert switches["pause"]["value"] == "obeyed"
    assert all(
        switch["meaning"] for what in ("behaviour", "jobs", "limits") for switch in close.control("GET", what).values()
    )
    close.control("POST", "behaviour", {"pause": "ignored"})
    assert close.control("DELETE", "behaviour")["pause"]["value"] == "obeyed"
    assert close.http.post(f"{close.base}/sandbox/behaviour", json={"pasue": "ignored"}).status_code == 400


def test_searches_are_limited_to_sixteen_in_eight_seconds(close: Close) -> None:
    close.control("POST", "limits", {"enabled": True, "window_seconds": 1})

    answers = [close.http.post("data/search/", json={"query": LEAD}) for _ in range(17)]

    assert [answer.status_code for answer in answers] == [200] * 16 + [429]
    assert answers[0].headers["ratelimit"].startswith("limit=16, remaining=15, reset=")
    last = answers[-1]
    assert "remaining=0" in last.headers["ratelimit"]
    assert last.headers["retry-after"] == "1"
    assert 0 < last.json()["error"]["rate_reset"] <= 1
    assert close.http.get("me/").headers["ratelimit"].startswith("limit=160, remaining=159")
    assert close.as_user.post("data/search/", json={"query": LEAD}).status_code == 200
    time.sleep(last.json()["error"]["rate_reset"])
    assert close.http.post("data/search/", json={"query": LEAD}).status_code == 200


def test_limits_have_two_spellings_and_an_off_switch(close: Close) -> None:
    close.control("POST", "limits", {"enabled": True, "separator": ";"})
    assert "; remaining=" in close.http.get("me/").headers["ratelimit"]

    close.control("POST", "limits", {"enabled": False})
    assert "ratelimit" not in close.http.get("me/").headers


def test_reset_makes_everything_new(close: Close) -> None:
    close.start()
    order(close, "status", times=9)
    close.control("POST", "behaviour", {"pause": "ignored"})

    close.control("POST", "reset", {"leads": 12, "seed": 3})

    assert close.control("GET", "requests") == []
    assert close.get("lead/")["total_results"] == 12
    assert close.get("bulk_action/delete/")["data"] == close.get("event/")["data"] == []
    assert close.control("GET", "behaviour")["pause"]["value"] == "obeyed"
