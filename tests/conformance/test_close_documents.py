"""What the sandbox answers is what Close documents: each operation of `close_api.yaml`, in each status it may have."""

import time
from collections.abc import Callable, Iterator

import pytest
from asking import GOOD, LEADS, WRONG, Body, Close
from documented import ANSWERED, DOCUMENT, LEFT_OUT, OPERATIONS, Operation, assert_documented, faults
from starlette.routing import Route
from support.close_account import ADMIN, USER, CloseAccount, lead

from deployments.sandbox.api import ROUTES

pytestmark = pytest.mark.xdist_group("documents")  # they share what earlier ones have changed

# Paths of the sandbox that aren't restated in the document.
BEYOND = {
    *("/custom_fields/lead/", "/custom_field/contact/", "/custom_field/opportunity/"),
    *("/user/{id}/", "/status/opportunity/", "/pipeline/", "/contact/{id}/", "/opportunity/{id}/", "/task/{id}/"),
    *(
        "/activity/",
        "/activity/task_completed/{id}/",
        "/activity/note/{id}/",
        "/activity/call/{id}/",
        "/export/opportunity/",
        "/export/lead/{id}/",
    ),
    *(f"/activity/{kind}/{rest}" for kind in ("sms", "email", "meeting") for rest in ("", "{id}/")),
}
CREATED = {"type": "regular_field", "object_type": "lead", "field_name": "date_created"}
OLDEST_FIRST = [{"direction": "asc", "field": CREATED}]  # the same half every time
WRITING = [operation for operation in ANSWERED if operation.method in ("POST", "PUT")]
ONE = [operation for operation in ANSWERED if "{id}" in operation.path]
PAGED = [
    operation
    for operation in ANSWERED
    if operation.method == "GET"
    and "{" not in operation.path
    and operation.path not in ("/me/", "/user/", "/status/lead/")
]


@pytest.fixture(scope="module")
def account(running_sandbox: CloseAccount) -> CloseAccount:
    """An organisation in which everything has happened once: half of its leads are deleted, the others are exported."""
    running_sandbox.reset(leads=240)
    changed = running_sandbox.post("/lead/", name="New")["id"]
    running_sandbox.put(f"/lead/{changed}/", name="Changed")
    _job(running_sandbox, "bulk_action/delete", s_query=LEADS, results_limit=120, sort=OLDEST_FIRST)
    _job(running_sandbox, "export/lead", s_query=LEADS, format="json")
    return running_sandbox


def _job(account: CloseAccount, kind: str, **body: object) -> Body:
    """Start a job and wait until it is done."""
    job = account.post(f"/{kind}/", **body)
    return _waited(lambda: account.get(f"/{kind}/{job['id']}/"), lambda found: found["status"] == "done")


def _waited(look: Callable[[], Body], good: Callable[[Body], bool]) -> Body:
    give_up = time.monotonic() + 20
    while not good(found := look()):
        assert time.monotonic() < give_up, found
        time.sleep(0.01)
    return found


@pytest.fixture(scope="module")
def close(account: CloseAccount) -> Iterator[Close]:
    with Close(account, ADMIN) as asking:
        yield asking


@pytest.mark.parametrize("operation", ANSWERED, ids=str)
def test_every_operation_answers_in_its_documented_shape(close: Close, operation: Operation):
    body = GOOD[str(operation)](close) if operation in WRITING else None

    assert_documented(operation, close.ask(operation, json=body))


def test_the_made_up_leads_show_every_part_of_a_lead(close: Close):
    """Each of them is as documented; together they have everything that may be there or may be missing."""
    leads = [close.http.get(f"lead/{lead_id}/").json() for lead_id in close.account.leads()]

    assert [faults("Lead", found) for found in leads] == [[]] * len(leads)
    for part in ("contacts", "opportunities", "tasks", "addresses", "primary_email", "primary_phone", "url"):
        assert {bool(found[part]) for found in leads} == {True, False}, part
    assert any(key.startswith("custom.cf_") for found in leads for key in found)


@pytest.mark.parametrize("operation", ANSWERED, ids=str)
def test_without_a_good_key_every_operation_answers_401(account: CloseAccount, operation: Operation):
    with Close(account, "api_nobody.has") as nobody:
        assert_documented(operation, nobody.ask(operation, id="any"), 401)


@pytest.mark.parametrize("operation", ONE, ids=str)
def test_what_is_not_there_is_404(close: Close, operation: Operation):
    body = GOOD[str(operation)](close) if operation in WRITING else None

    assert_documented(operation, close.ask(operation, id="of_nothing", json=body), 404)


@pytest.mark.parametrize("operation", WRITING, ids=str)
def test_a_wrong_body_is_400_and_names_the_field(close: Close, operation: Operation):
    answer = close.ask(operation, json=WRONG[str(operation)])

    assert_documented(operation, answer, 400)
    assert answer.json()["field-errors"]


@pytest.mark.parametrize("content", [b"{", b"[]"], ids=["no JSON", "no object"])
@pytest.mark.parametrize("operation", WRITING, ids=str)
def test_a_body_that_is_no_object_is_400(close: Close, operation: Operation, content: bytes):
    answer = close.ask(operation, content=content, headers={"content-type": "application/json"})

    assert_documented(operation, answer, 400)


@pytest.mark.parametrize("operation", PAGED, ids=str)
def test_a_page_size_that_is_no_number_is_400(close: Close, operation: Operation):
    assert_documented(operation, close.ask(operation, params={"_limit": "many"}), 400)


@pytest.mark.parametrize("path", ["/bulk_action/delete/", "/export/lead/"])
def test_what_a_user_may_not_do_is_403(account: CloseAccount, path: str):
    operation = Operation("POST", path)

    with Close(account, USER) as user:
        assert_documented(operation, user.ask(operation, json={"s_query": LEADS}), 403)


@pytest.mark.parametrize("operation", ANSWERED, ids=str)
def test_too_many_requests_are_429(close: Close, operation: Operation):
    with close.limited(scale=0.001, window_seconds=60):
        close.ask(operation, id="of_nothing")
        answer = close.ask(operation, id="of_nothing")

    assert_documented(operation, answer, 429)
    assert int(answer.headers["retry-after"]) == answer.json()["error"]["rate_reset"]
    assert answer.headers["ratelimit"] == f"limit=1, remaining=0, reset={answer.headers['retry-after']}"


def test_a_rate_limit_may_have_decimals(close: Close):
    """Close documents that it may; `retry-after` is in whole seconds all the same."""
    with close.limited(scale=0.001, window_seconds=0.5, decimals=True):
        me = Operation("GET", "/me/")
        close.ask(me)
        answer = close.ask(me)

    assert_documented(me, answer, 429)
    reset = answer.headers["ratelimit"].removeprefix("limit=1, remaining=0, reset=")
    assert 0 < float(reset) == answer.json()["error"]["rate_reset"] <= 0.5
    assert answer.headers["retry-after"] == "1"


def test_a_bulk_delete_is_as_documented_in_each_of_its_statuses(close: Close):
    one = Operation("GET", "/bulk_action/delete/{id}/")
    seen: list[str | None] = []

    def see(job_id: str, *statuses: str | None) -> None:
        for status in statuses:
            _waited(lambda: close.ask(one, id=job_id).json(), lambda job: job["status"] == status)  # noqa: B023
            assert_documented(one, close.ask(one, id=job_id))
            seen.append(status)

    def start(**behaviour: object) -> str:
        close.account.jobs(**behaviour)
        close.account.add(*(lead("Doomed") for _ in range(5)))
        return str(close.account.post("/bulk_action/delete/", s_query=LEADS, results_limit=5)["id"])

    slow = start(created_seconds=0.4, loading_seconds=0.4, leads_per_second=4)
    see(slow, "created", "loading", "processing")
    _waited(lambda: close.ask(one, id=slow).json(), lambda job: job["n_objects_processed"] > 0)
    for wanted in ("paused", "resuming"):
        close.account.put(f"/bulk_action/delete/{slow}/", status=wanted)
        see(slow, wanted)
    see(slow, "done")
    see(start(created_seconds=0.1, loading_seconds=0.1, leads_per_second=5000, fail_after=2), "error")
    see(start(fail_after=None, status=None), None)

    assert set(seen) == set(DOCUMENT["types"]["job_status"]["enum"])


def test_an_export_is_as_documented_in_each_of_its_statuses(close: Close):
    """They pass too quickly to be looked at one by one: the event log keeps them. No export of the sandbox fails."""
    export = _job(close.account, "export/lead", s_query=LEADS, format="json")

    events = close.account.get("/event/", object_type="export.lead", object_id=export["id"])["data"]

    assert [faults("Export", event["data"]) for event in events] == [[]] * len(events)
    assert {"error", *(event["data"]["status"] for event in events)} == set(DOCUMENT["types"]["export_status"]["enum"])


@pytest.mark.parametrize(
    ("object_type", "shape"),
    [
        ("lead", "Lead"),
        ("contact", "Contact"),
        ("opportunity", "Opportunity"),
        ("task.lead", "Task"),
        ("activity.note", "Note"),
        ("activity.call", "Call"),
    ],
)
def test_the_event_log_keeps_deleted_objects_as_documented(close: Close, object_type: str, shape: str):
    events = close.account.get("/event/", object_type=object_type, action="deleted")["data"]

    assert events
    assert [faults(shape, event["previous_data"]) for event in events] == [[]] * len(events)


def test_every_path_of_the_sandbox_is_described_or_known_to_be_beyond():
    served = {route.path for route in ROUTES if isinstance(route, Route)}

    assert served - BEYOND == {operation.path for operation in ANSWERED}
    assert served >= BEYOND


def test_every_documented_operation_is_imitated_or_named_in_the_readme():
    imitated, left_out = set(map(str, ANSWERED)), set(map(str, LEFT_OUT))

    assert imitated - set(OPERATIONS) == {"POST /data/search/"}  # described on a page of its own
    assert set(OPERATIONS) - imitated == left_out


@pytest.mark.parametrize("operation", LEFT_OUT, ids=str)
def test_what_the_sandbox_leaves_out_it_refuses(close: Close, operation: Operation):
    """Were it to answer, the answer would have to be held against its description."""
    assert close.ask(operation, id="of_nothing", json={}).status_code in (404, 405)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"status": "finished"}, "is not one of"),
        ({"n_leads": "3"}, "is not of type"),
        ({"date_created": "yesterday"}, "does not match"),
        ({"progress": 0.5}, "Additional properties"),
        ({"id": "bulkdelete_short"}, "does not match"),
    ],
)
def test_the_judge_is_strict(close: Close, change: Body, complaint: str):
    job = close.account.post("/bulk_action/delete/", s_query=LEADS, results_limit=0)

    assert faults("BulkDelete", job) == []
    assert complaint in "".join(faults("BulkDelete", {**job, **change}))
    for name in job:
        assert faults("BulkDelete", {key: value for key, value in job.items() if key != name})
