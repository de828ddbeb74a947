"""Keys, the organisation behind them, and how requests and answers look in general."""

import base64

import httpx
import pytest
from words_for_close import LEAD, Close


def test_each_key_is_somebody_in_an_organisation(close: Close) -> None:
    admin, user, other = (client.get("me/").json() for client in (close.http, close.as_user, close.as_other))

    assert [each["memberships"][0]["role_id"] for each in (admin, user, other)] == ["admin", "user", "admin"]
    assert admin["organizations"] == user["organizations"] != other["organizations"]
    assert "bulk_edit" in admin["memberships"][0]["permissions_granted"]
    assert "bulk_edit" not in user["memberships"][0]["permissions_granted"]


def test_a_token_is_as_good_as_a_key(close: Close) -> None:
    answer = httpx.get(f"{close.base}/api/v1/me/", headers={"authorization": "Bearer sandbox.admin"})

    assert answer.json()["id"] == close.get("me/")["id"]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer nonsense",
        "Bearer api_sandbox.admin",
        "Basic !!!",
        "Basic " + base64.b64encode(b"api_nobody:").decode(),
        "Basic " + base64.b64encode(b"api_sandbox.admin:password").decode(),
    ],
)
def test_anything_else_is_unauthorized(close: Close, header: str | None) -> None:
    answer = httpx.get(f"{close.base}/api/v1/me/", headers={"authorization": header} if header else {})

    assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})


def test_an_organisation_is_visible_to_its_own_members_only(close: Close) -> None:
    ours = close.get("me/")["organizations"][0]["id"]

    organization = close.get(f"organization/{ours}/")

    assert {"Potential", "Interested", "Qualified", "Customer", "Not Interested", "Bad Fit", "Junk"} == {
        status["label"] for status in organization["lead_statuses"]
    }
    assert all("user_email" in member for member in organization["memberships"])
    assert close.as_other.get(f"organization/{ours}/").status_code == 404
    assert close.get(f"organization/{ours}/", _fields="lead_custom_fields") == {
        "lead_custom_fields": close.get("custom_field/lead/")["data"]
    }
    expanded = close.get(f"organization/{ours}/", _expand="memberships__user")
    assert expanded["memberships"][0]["user"]["email"] == organization["memberships"][0]["user_email"]


def test_objects_of_another_organisation_are_not_found(close: Close) -> None:
    lead = close.load({"name": "ours"})[0]

    assert close.as_other.get(f"lead/{lead}/").status_code == 404
    assert close.as_other.post("data/search/", json={"query": LEAD}).json()["data"] == []


def test_every_answer_has_a_trace_id(close: Close) -> None:
    traces = {close.http.get(path).headers["trace-id"] for path in ("me/", "me/", "nothing/", "lead/nobody/")}

    assert len(traces) == 4
    assert all(len(trace) == 32 for trace in traces)


def test_fields_limit_what_is_shown(close: Close) -> None:
    assert set(close.get("me/", _fields="id,email")) == {"id", "email"}
    assert [set(each) for each in close.get("custom_field/lead/", _fields="id")["data"]] == [{"id"}] * 4


def test_a_path_without_its_slash_redirects(close: Close) -> None:
    answer = close.http.get("me")

    assert (answer.status_code, answer.headers["location"]) == (307, f"{close.base}/api/v1/me/")


def test_two_slashes_in_a_path_are_one(close: Close) -> None:
    """Clients join an address that ends in one and a path that begins with one."""
    for path in ("/api/v1//me/", "//api/v1/me/", "/api/v1/me//"):
        assert close.http.get(f"{close.base}{path}").json()["email"] == "ada@sandbox.example"
    assert {each["path"] for each in close.control("GET", "requests")} == {"/me/"}


def test_unknown_urls_methods_and_objects(close: Close) -> None:
    nowhere, method, nobody = close.http.get("nothing/"), close.http.delete("me/"), close.http.get("lead/lead_nobody/")

    assert (nowhere.status_code, method.status_code, nobody.status_code) == (404, 405, 404)
    assert nowhere.json()["error"].startswith("The requested URL was not found")
    assert all(isinstance(answer.json()["error"], str) for answer in (method, nobody))


@pytest.mark.parametrize(
    ("body", "mime", "error"),
    [
        ("{", "application/json", "The request contains invalid JSON."),
        ("[]", "application/json", "JSON data must be a dict."),
        ("name=x", "application/x-www-form-urlencoded", "Send JSON, with the header Content-Type: application/json."),
    ],
)
def test_a_body_must_be_a_json_object(close: Close, body: str, mime: str, error: str) -> None:
    answer = close.http.post("lead/", content=body, headers={"content-type": mime})

    assert (answer.status_code, answer.json()) == (400, {"error": error})


def test_a_long_get_may_be_sent_as_a_post(close: Close) -> None:
    close.load({"name": "a"}, {"name": "b"})

    found = close.post(
        "lead/", {"_params": {"_limit": 1, "_fields": ["id", "name"]}}, **{"x-http-method-override": "GET"}
    )

    assert (found["total_results"], len(found["data"]), set(found["data"][0])) == (2, 1, {"id", "name"})


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"_limit": "201"}, "(max_limit = 200)"),
        ({"_limit": "x"}, '_limit must be an integer (got "x" instead).'),
        ({"_skip": "-1"}, '_skip must be a non-negative integer (got "-1" instead).'),
        ({"_skip": "250001"}, "(max_skip = 250000)"),
        ({"_skip": "1" * 5000}, "_skip must be an integer"),
    ],
)
def test_pages_have_bounds(close: Close, params: dict[str, str], error: str) -> None:
    answer = close.http.get("lead/", params=params)

    assert answer.status_code == 400
    assert error in answer.json()["error"]


def test_a_time_zone_that_is_none_is_refused(close: Close) -> None:
    for offset in ("x", "99", "nan"):
        assert close.http.get("me/", headers={"x-tz-offset": offset}).status_code == 400


def test_smart_views_are_those_of_a_real_organisation(close: Close) -> None:
    views = {view["name"]: view for view in close.get("saved_search/")["data"]}

    assert views["All Leads"]["s_query"]["query"] == {"type": "match_all", "negate": False}
    assert views["My leads"]["is_user_dependent"]
    assert [view["name"] for view in views.values() if view["s_query"] is None] == ["Untouched leads (old search)"]
    assert views["Fifty oldest junk leads"]["s_query"]["results_limit"] == 50
    assert "Contacts without e-mail" not in views
    assert len(close.get("saved_search/", type__in="lead,contact")["data"]) == 10


def test_smart_views_can_be_made_changed_and_deleted(close: Close) -> None:
    view = close.post("saved_search/", {"name": "Mine", "s_query": {"query": LEAD}})
    path = f"saved_search/{view['id']}/"

    assert close.http.put(path, json={"name": "Yours"}).json()["name"] == "Yours"
    assert close.get(path)["s_query"]["query"] == LEAD
    assert close.http.delete(path).json() == {}
    assert close.http.get(path).status_code == 404
    refused = close.http.post("saved_search/", json={"name": "X", "s_query": {"query": {"type": "match_all"}}})
    assert "object_type" in refused.json()["field-errors"]["s_query"]
