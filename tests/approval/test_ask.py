"""A person's approval: what is asked, what counts as an answer, and that nothing is deleted without one."""

from collections.abc import Iterator
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import Pause, PrefectHTTPStatusError
from prefect.states import Cancelling, Running, Scheduled, Suspended
from support.approvals import Ask
from support.attempts import tried_again
from support.cleanups import RunCleanup
from support.close_account import CloseAccount, lead
from support.proxy import Proxy
from support.variations import first

from tasks.approval.ask import BY_EXPIRY, Request, input_of
from tasks.report.artifacts import artifacts_of
from tasks.runs.run import run_of

pytestmark = pytest.mark.server

BULK_DELETE = "/bulk_action/delete/"
JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "dry_run": False}


@pytest.fixture
def close(sandbox: CloseAccount) -> CloseAccount:
    """Two leads to delete among four."""
    sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"), lead("D"))
    return sandbox


@pytest.mark.exhaustive
def test_a_declined_run_that_a_person_retries_asks_again(close: CloseAccount, ask: Ask) -> None:
    asked = ask()
    asked.answer(3)
    asked.goes_on()

    with pytest.raises(Pause):
        tried_again(asked.id)
    asked.answer(2)

    assert asked.goes_on().outcome == "deleted"


@pytest.mark.parametrize(
    "wrong",
    [
        {"leads": "2x"},
        {"approver": " "},
        *(pytest.param(each, marks=pytest.mark.exhaustive) for each in ({"leads": None}, {"note": 5}, {"more": 1})),
    ],
)
def test_a_form_that_is_not_filled_in_well_leaves_the_run_waiting(
    close: CloseAccount, ask: Ask, wrong: dict[str, Any]
) -> None:
    asked = ask()

    said = asked.answer(**{"leads": 2, **wrong})

    assert said.status.value == "REJECT"
    assert asked.state == "Suspended"


@pytest.mark.parametrize(("approval", "waits"), first(2, [("above 2", False), ("above 1", True), ("never", False)]))
def test_only_what_is_above_the_number_needs_an_approval(
    close: CloseAccount, ask: Ask, approval: str, waits: bool
) -> None:
    asked = ask(approval=approval, waits=False)

    assert asked.waits() is waits
    assert len(close.leads()) == (4 if waits else 2)


def test_a_dry_run_asks_nobody(close: CloseAccount, ask: Ask) -> None:
    assert ask(dry_run=True, waits=False).goes_on().outcome == "dry_run"


def test_the_form_begins_with_the_number_the_plan_and_what_is_less_careful(close: CloseAccount, ask: Ask) -> None:
    """The rest is below what a screen shows."""
    asked = ask(limits={"max_leads": 1000})
    assert asked.found.state
    request = Request.read(asked.found.state)
    assert request

    form = input_of(asked.id, request.inputs["description"])

    assert form
    number, plan, loosened, *_ = str(form.decoded_value).split("\n\n")
    assert number.startswith("2 of 4 leads would be deleted.")
    assert plan.startswith("[The plan](/artifacts/artifact/")
    assert loosened.replace("\\", "") == (
        "**Less careful than its deployment: max leads 1,000 instead of 500 (limits.max_leads).**"
    )


def test_a_run_without_a_form_says_how_to_approve_it(close: CloseAccount, run_cleanup: RunCleanup) -> None:
    """Prefect suspends runs of deployments only."""
    report = run_cleanup(**JUNK, approval="always").report

    assert report.outcome == "refused"
    assert (
        "The plan has 2 leads, which somebody must approve: run it at a terminal, or with --expect 2" in report.message
    )
    assert close.writes() == []


def test_a_run_without_a_form_is_approved_by_the_number_it_expects(
    close: CloseAccount, run_cleanup: RunCleanup
) -> None:
    report = run_cleanup(**JUNK, approval="always", expect=2).report

    assert (report.outcome, report.approved.leads) == ("deleted", 2)


def test_the_number_it_expects_does_not_approve_a_run_of_a_deployment(close: CloseAccount, ask: Ask) -> None:
    """It may stand in the deployment, where nobody looks at it."""
    assert ask(expect=2).state == "Suspended"


# --- what changes while it waits --------------------------------------------------------------------------------------


def test_another_query_needs_a_new_approval_even_for_as_many_leads(sandbox: CloseAccount, ask: Ask) -> None:
    """When one of the oldest two is edited, the oldest two are others than those that were shown."""
    years = (2019, 2020, 2021, 2022)
    oldest, *_ = sandbox.add(*(lead(f"{year}", "Junk", date_created=f"{year}-01-01T00:00:00Z") for year in years))
    asked = ask(limits={"batch": 2, "max_share": 1.0})
    sandbox.put(f"/lead/{oldest}/", description="call her")

    asked.answer(2)

    assert asked.waits()
    assert sandbox.posts(BULK_DELETE) == []


def test_the_limits_hold_after_the_approval_too(close: CloseAccount, ask: Ask) -> None:
    asked = ask(limits={"max_leads": 2})
    close.add(lead("E", "Junk"))

    asked.answer(2)

    assert asked.goes_on().outcome == "refused"
    assert close.writes() == []


def test_a_waiting_run_that_is_cancelled_stays_cancelled(close: CloseAccount, ask: Ask) -> None:
    asked = ask()
    with get_client(sync_client=True) as prefect:
        prefect.set_flow_run_state(asked.id, Cancelling())

    said = asked.answer(2)

    assert said.status.value == "ABORT"
    assert asked.state == "Cancelled"


def test_a_newer_plan_of_the_same_cleanup_retires_the_older_request(close: CloseAccount, ask: Ask) -> None:
    older, other = ask(), ask(match={"status": ["Junk", "Bad Fit"]})
    newer = ask()

    assert (older.state, other.state, newer.state) == ("Expired", "Suspended", "Suspended")
    assert older.found.state
    assert str(newer.id) in str(older.found.state.message)
    assert any("Expired: nothing was deleted" in str(each.data) for each in artifacts_of(older.id))
    assert older.answer(2).status.value == "ABORT"


@pytest.mark.parametrize(
    "differs",
    first(
        1,
        [
            {"keep": {"created_within_days": 7}},
            {"limits": {"max_leads": 10, "max_share": 1.0}},
            {"time_zone": "Europe/Berlin"},
        ],
    ),
)
def test_a_request_that_shows_something_else_is_left_alone(
    close: CloseAccount, ask: Ask, differs: dict[str, Any]
) -> None:
    """What a person is about to approve there isn't what the newer plan shows."""
    older = ask(**differs)
    newer = ask()

    assert (older.state, newer.state) == ("Suspended", "Suspended")


def test_the_same_plan_written_otherwise_is_the_same(close: CloseAccount, ask: Ask) -> None:
    """A form sends the defaults that a schedule leaves out."""
    older = ask(keep={}, limits={"ramp": True}, time_zone="UTC")

    newer = ask()

    assert (older.state, newer.state) == ("Expired", "Suspended")


@pytest.fixture
def front(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A server in front of Prefect's."""
    with Proxy(prefect_server) as proxy:

        def through_the_front(*, sync_client: bool) -> SyncPrefectClient:
            assert sync_client
            return SyncPrefectClient(f"{proxy.address}/api")

        monkeypatch.setattr("tasks.runs.connect.get_client", through_the_front)
        yield proxy


@pytest.mark.parametrize("right_before", first(1, ["POST /api/flow_runs/{}/input ", "GET /api/flow_runs/{} "]))
def test_a_run_that_is_approved_while_a_newer_plan_is_made_is_not_retired(
    close: CloseAccount, ask: Ask, front: Proxy, right_before: str
) -> None:
    older, newer = ask(), ask(waits=False)
    front.trouble(right_before.format(older.id), None, meanwhile=lambda: older.answer(2))

    assert newer.waits()

    assert older.state == "Resuming"
    assert older.goes_on().outcome == "deleted"


def test_a_run_that_is_retired_can_not_be_approved_at_the_same_moment(
    close: CloseAccount, ask: Ask, front: Proxy
) -> None:
    """Once it has been looked at for the last time, an approval fails, rather than being lost."""
    older, newer = ask(), ask(waits=False)
    errors: list[Exception] = []

    def approved_too_late() -> None:
        try:
            older.answer(2)
        except PrefectHTTPStatusError as error:
            errors.append(error)

    front.trouble(f"POST /api/flow_runs/{older.id}/set_state ", None, meanwhile=approved_too_late)

    assert newer.waits()

    assert len(errors) == 1
    assert older.state == "Expired"
    assert close.writes() == []


def test_a_run_that_somebody_suspended_is_not_retired(close: CloseAccount, ask: Ask) -> None:
    """It waits for no approval: Close may be deleting for it."""
    other = ask(waits=False)
    with get_client(sync_client=True) as prefect:
        prefect.set_flow_run_state(other.id, Running())
        prefect.set_flow_run_state(other.id, Suspended(timeout_seconds=3600))

    assert ask().state == "Suspended"

    assert other.state == "Suspended"


@pytest.mark.exhaustive
def test_an_older_run_that_is_tried_again_gives_way_to_the_newer_request(close: CloseAccount, ask: Ask) -> None:
    older, newer = ask(), ask()

    report = tried_again(older.id)

    assert report.outcome == "expired"
    assert str(newer.id) in report.message
    assert newer.state == "Suspended"


# --- Prefect ----------------------------------------------------------------------------------------------------------


def test_a_request_that_nobody_answers_expires(close: CloseAccount, ask: Ask) -> None:
    asked = ask()
    with get_client(sync_client=True) as prefect:
        prefect.set_flow_run_state(asked.id, Scheduled(message=BY_EXPIRY))

    report = asked.goes_on()

    assert (report.outcome, asked.state) == ("expired", "Expired")
    assert report.message == "Nobody approved the plan to delete 2 leads within 72 hours."
    assert close.writes() == []


@pytest.mark.exhaustive
def test_an_expired_run_that_a_person_retries_asks_again(close: CloseAccount, ask: Ask) -> None:
    asked = ask()
    with get_client(sync_client=True) as prefect:
        prefect.set_flow_run_state(asked.id, Scheduled(message=BY_EXPIRY))
    asked.goes_on()

    with pytest.raises(Pause):
        tried_again(asked.id)


@pytest.mark.exhaustive
def test_a_waiting_run_that_somebody_just_lets_go_on_asks_again(close: CloseAccount, ask: Ask) -> None:
    """Without the form: by changing its state in the UI."""
    asked = ask()
    with get_client(sync_client=True) as prefect:
        prefect.set_flow_run_state(asked.id, Scheduled(), force=True)

    assert asked.waits()
    assert close.writes() == []


def test_a_waiting_run_that_is_called_crashed_asks_again(close: CloseAccount, ask: Ask) -> None:
    """A last heartbeat may come after the run has suspended itself."""
    asked = ask()

    asked.crashes()

    assert asked.waits()
    asked.answer(2)
    assert asked.goes_on().outcome == "deleted"


def test_waiting_makes_a_run_neither_late_nor_another_one(close: CloseAccount, ask: Ask) -> None:
    """However long it takes: the cut-off, and how late it was, are those of its first start."""
    asked = ask()
    before = run_of(asked.found, "junk")
    asked.answer(2)

    asked.goes_on()

    assert run_of(asked.found, "junk") == before


@pytest.mark.parametrize("lost", ["input", "set_state"])
@pytest.mark.exhaustive
def test_a_request_whose_answer_from_prefect_is_lost_is_there_all_the_same(
    close: CloseAccount, ask: Ask, prefect_server: str, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """Prefect's client repeats it, and meets what it has stored already: the form, or the suspended state."""
    asked = ask(waits=False)
    with Proxy(prefect_server) as front, monkeypatch.context() as patched:
        front.trouble(f"POST /api/flow_runs/{asked.id}/{lost}", "drop_after")

        def through_the_front(*, sync_client: bool) -> SyncPrefectClient:
            assert sync_client
            return SyncPrefectClient(f"{front.address}/api")

        for module in ("prefect.flow_runs", "prefect.input.actions"):
            patched.setattr(f"{module}.get_client", through_the_front)
        assert asked.waits()

    asked.answer(2)

    assert asked.goes_on().outcome == "deleted"


@pytest.mark.parametrize(("leads", "outcome"), first(1, [(2, "deleted"), (3, "declined")]))
def test_an_answer_outlives_a_crash(close: CloseAccount, ask: Ask, leads: int, outcome: str) -> None:
    asked = ask()
    asked.answer(leads)

    asked.crashes()

    assert asked.goes_on().outcome == outcome


@pytest.mark.exhaustive
def test_an_approval_outlives_an_attempt_that_failed(close: CloseAccount, ask: Ask) -> None:
    asked = ask()
    asked.answer(2)
    close.fault("POST", BULK_DELETE, "status", status=403)

    failed = asked.goes_on()
    again = tried_again(asked.id)

    assert (failed.outcome, again.outcome) == ("refused", "deleted")
    assert again.approved == failed.approved
