"""Before it plans, a live run waits for another one of the organisation that is running and gets on."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Cancelling, Completed, Failed, Running, Scheduled, Suspended
from support.attempts import attempt, tried_again
from support.close_account import CloseAccount, lead
from support.fake_clock import FakeClock
from support.variations import first

from flows.lead_cleanup import lead_cleanup
from tasks.bulk_delete import other_runs
from tasks.bulk_delete.attempt import check_attempt
from tasks.bulk_delete.other_runs import is_ahead
from tasks.ledger import store as ledger
from tasks.runs import stop

pytestmark = pytest.mark.server

Run = Callable[..., Any]
BULK_DELETE = "/bulk_action/delete/"
JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "dry_run": False, "backup": False}
OTHERS: dict[str, Any] = {**JUNK, "match": {"status": ["Bad Fit"]}, "limits": {"max_wait_minutes": 1}}
ON_ONE_TICK: list[dict[str, Any]] = [JUNK, {**OTHERS, "limits": {}}]


class Looks:
    """Counts the looks of a run that waits for others, and does something at each."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.number = 0
        self.then: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)
        if seconds == other_runs.LOOK_SECONDS:
            self.number += 1
            self.then()


@pytest.fixture
def looks(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Looks:
    found = Looks(fake_clock)
    monkeypatch.setattr("tasks.runs.connect.sleep", found.sleep)
    return found


@pytest.fixture
def prefect(prefect_server: str, empty_ledger: None) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def deployed(prefect: SyncPrefectClient, name: str, parameters: dict[str, Any], state: State[Any]) -> FlowRun:
    """A run of a deployment of its own, in this state."""
    deployment = prefect.create_deployment(prefect.create_flow(lead_cleanup), name)
    return prefect.create_flow_run_from_deployment(deployment, parameters=parameters, state=state)


def deleting(sandbox: CloseAccount, prefect: SyncPrefectClient, run_cleanup: Run, **job: Any) -> UUID:
    """Another run, which Prefect calls running: its bulk delete takes Close some seconds, or as long as *job* says."""
    sandbox.jobs(**{"leads_per_second": 0.7, **job})
    report = run_cleanup(**OTHERS).report
    sandbox.jobs(leads_per_second=5000)
    assert report.outcome == "still_running"
    prefect.set_flow_run_state(UUID(report.flow_run_id), Running(), force=True)
    return UUID(report.flow_run_id)


def ends_when_close_is_done(sandbox: CloseAccount, prefect: SyncPrefectClient, run_id: UUID) -> Callable[[], None]:
    """What the process of the other run does in the end."""

    def look() -> None:
        record = ledger.read(run_id)
        [job] = sandbox.get(BULK_DELETE)["data"]
        if record and not record.ended and job["status"] == "done":
            ledger.update(record, ended="done")
            prefect.set_flow_run_state(run_id, Completed(), force=True)

    return look


@pytest.fixture(autouse=True)
def leads(sandbox: CloseAccount) -> None:
    """Two for this run, five for the other one, and some for nobody."""
    sandbox.add(*(lead(name, "Junk") for name in "AB"), *(lead(name, "Bad Fit") for name in "CDEFG"))
    sandbox.add(*(lead(name) for name in "HIJKLMNOPQRST"))


def test_a_run_waits_until_the_other_has_ended_and_then_plans_and_deletes(
    sandbox: CloseAccount, prefect: SyncPrefectClient, run_cleanup: Run, looks: Looks, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="tasks")
    other = deleting(sandbox, prefect, run_cleanup)
    looks.then = ends_when_close_is_done(sandbox, prefect, other)

    report = run_cleanup(**JUNK).report

    assert (report.outcome, report.processed) == ("deleted", 2)
    assert looks.number > 0
    assert f"Waiting until run {other} " in caplog.text
    assert "Planning now." in caplog.text
    assert len(sandbox.posts(BULK_DELETE)) == 2


def test_two_cleanups_on_one_tick_both_delete(
    sandbox: CloseAccount, prefect: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither has a bulk delete when the other looks: the one that began later waits."""
    monkeypatch.setattr("tasks.bulk_delete.other_runs.LOOK_SECONDS", 0.2)
    sandbox.jobs(leads_per_second=10)
    tick = Scheduled(scheduled_time=datetime.now(UTC))
    runs = [deployed(prefect, f"tick {n}", each, tick) for n, each in enumerate(ON_ONE_TICK)]
    reports: list[Any] = []

    def attempted(run: FlowRun) -> None:
        reports.append(attempt(run))

    threads = [threading.Thread(target=attempted, args=(run,)) for run in runs]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted((each.outcome, each.processed) for each in reports) == [("deleted", 2), ("deleted", 5)]


def test_a_dry_run_does_not_wait(
    sandbox: CloseAccount, prefect: SyncPrefectClient, run_cleanup: Run, looks: Looks
) -> None:
    deployed(prefect, "other", OTHERS, Running())

    assert run_cleanup(**{**JUNK, "dry_run": True}).report.outcome == "dry_run"
    assert looks.number == 0


@pytest.mark.parametrize(
    "state", first(1, [Failed(name="Unknown"), Suspended(), Cancelling()]), ids=lambda state: state.name
)
def test_a_run_that_is_not_running_is_not_waited_for(
    sandbox: CloseAccount, prefect: SyncPrefectClient, run_cleanup: Run, looks: Looks, state: State[Any]
) -> None:
    other = deleting(sandbox, prefect, run_cleanup, leads_per_second=0.1)
    prefect.set_flow_run_state(other, state, force=True)

    report = run_cleanup(**JUNK).report

    assert (report.outcome, looks.number) == ("refused", 0)
    assert "Wait until it has finished." in report.message


def test_a_bulk_delete_that_is_paused_is_not_waited_for(
    sandbox: CloseAccount, prefect: SyncPrefectClient, run_cleanup: Run, looks: Looks
) -> None:
    other = deleting(sandbox, prefect, run_cleanup, leads_per_second=0.1)
    record = ledger.read(other)
    assert record
    sandbox.put(f"{BULK_DELETE}{record.bulk_delete_id}/", status="paused")

    report = run_cleanup(**JUNK).report

    assert (report.outcome, looks.number) == ("refused", 0)
    assert f"`lead-cleanup resume {other}` resumes it." in report.message


def test_a_run_that_is_cancelled_is_not_waited_for(
    sandbox: CloseAccount, prefect: SyncPrefectClient, run_cleanup: Run, looks: Looks
) -> None:
    record = ledger.read(deleting(sandbox, prefect, run_cleanup, leads_per_second=0.1))
    assert record
    ledger.update(record, cancelled_at=datetime.now(UTC))

    assert (run_cleanup(**JUNK).report.outcome, looks.number) == ("refused", 0)


def test_a_bulk_delete_of_somebody_else_is_not_waited_for(
    sandbox: CloseAccount, prefect: SyncPrefectClient, run_cleanup: Run, looks: Looks
) -> None:
    sandbox.jobs(leads_per_second=0.1)
    sandbox.post(BULK_DELETE, s_query={"type": "object_type", "object_type": "lead"}, results_limit=None)

    assert (run_cleanup(**JUNK).report.outcome, looks.number) == ("refused", 0)


def test_a_bulk_delete_that_does_not_move_is_waited_for_no_longer_than_ten_minutes(
    sandbox: CloseAccount, prefect: SyncPrefectClient, run_cleanup: Run, looks: Looks
) -> None:
    deleting(sandbox, prefect, run_cleanup, leads_per_second=0.01)

    assert run_cleanup(**JUNK).report.outcome == "refused"
    assert 50 < looks.number <= 62


def test_a_run_of_another_organisation_is_not_waited_for(
    sandbox: CloseAccount, prefect: SyncPrefectClient, run_cleanup: Run, looks: Looks
) -> None:
    other = deployed(prefect, "other", OTHERS, Running())
    prefect.update_flow_run(other.id, tags=["orga_other"])

    assert (run_cleanup(**JUNK).report.outcome, looks.number) == ("deleted", 0)


def test_a_run_says_in_which_organisation_it_is(
    sandbox: CloseAccount, prefect: SyncPrefectClient, run_cleanup: Run
) -> None:
    report = run_cleanup(**JUNK).report

    assert {report.organization_id, "live"} <= set(prefect.read_flow_run(UUID(report.flow_run_id)).tags)


def test_a_run_that_began_later_or_without_a_deployment_is_not_waited_for(
    sandbox: CloseAccount, prefect: SyncPrefectClient, run_cleanup: Run, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one waits for us; the process of the other may be gone, and nobody may notice."""

    def check_while_others_begin(*given: Any) -> None:
        deployed(prefect, "later", OTHERS, Running())
        prefect.create_flow_run(lead_cleanup, parameters=OTHERS, state=Running())
        check_attempt(*given)

    monkeypatch.setattr("flows.lead_cleanup.check_attempt", check_while_others_begin)

    assert (run_cleanup(**JUNK).report.outcome, looks.number) == ("deleted", 0)


@pytest.mark.parametrize(
    ("deployment", "earlier", "ahead"),
    [
        (True, timedelta(milliseconds=1), True),
        (True, timedelta(minutes=59), True),
        (True, timedelta(minutes=61), False),
        (True, timedelta(milliseconds=-1), False),
        (False, timedelta(minutes=1), False),
    ],
)
def test_ahead_is_a_deployed_run_that_began_before_and_within_an_hour(
    deployment: bool, earlier: timedelta, ahead: bool
) -> None:
    now = datetime.now(UTC)
    mine = FlowRun(flow_id=uuid4(), state=Running(timestamp=now))
    deployment_id = uuid4() if deployment else None
    other = FlowRun(flow_id=uuid4(), deployment_id=deployment_id, state=Running(timestamp=now - earlier))

    assert is_ahead(other, mine) == ahead


def test_of_two_runs_that_began_at_the_same_instant_one_is_ahead() -> None:
    began = Running(timestamp=datetime.now(UTC))
    one, other = (FlowRun(flow_id=uuid4(), deployment_id=uuid4(), state=began) for _ in range(2))

    assert is_ahead(one, other) != is_ahead(other, one)


def test_the_stop_ends_the_wait(
    sandbox: CloseAccount, prefect: SyncPrefectClient, run_cleanup: Run, looks: Looks
) -> None:
    deployed(prefect, "other", OTHERS, Running())
    looks.then = lambda: stop.put("a test")

    report = run_cleanup(**JUNK).report

    assert (report.outcome, looks.number) == ("refused", 1)
    assert "Cleanups are stopped: a test." in report.message


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look each minute, for waits that would have hundreds."""
    monkeypatch.setattr(other_runs, "LOOK_SECONDS", 60.0)


@pytest.mark.usefixtures("seldom")
def test_an_hour_is_the_longest_wait(
    sandbox: CloseAccount, prefect: SyncPrefectClient, run_cleanup: Run, looks: Looks, caplog: pytest.LogCaptureFixture
) -> None:
    """Then it does what it would have done at once: here nothing is in the way."""
    other = deployed(prefect, "other", OTHERS, Running())

    assert run_cleanup(**JUNK).report.outcome == "deleted"
    assert 55 < looks.number <= 60
    assert f"Run {other.id} " in caplog.text
    assert "no longer waiting" in caplog.text


@pytest.mark.usefixtures("seldom")
def test_a_run_does_not_wait_until_it_is_too_late(
    sandbox: CloseAccount, prefect: SyncPrefectClient, looks: Looks
) -> None:
    """It was due fifty minutes ago, and may be an hour late."""
    deployed(prefect, "other", OTHERS, Running())
    due = Scheduled(scheduled_time=datetime.now(UTC) - timedelta(minutes=50))
    run = deployed(prefect, "late", {**JUNK, "limits": {"max_late_hours": 1}}, due)

    report = attempt(run)

    assert report
    assert report.outcome == "deleted"
    assert 6 < looks.number <= 10


def test_an_attempt_that_finds_a_claim_of_its_own_does_not_wait(
    sandbox: CloseAccount, prefect: SyncPrefectClient, run_cleanup: Run, looks: Looks
) -> None:
    sandbox.fault("POST", BULK_DELETE, "drop_after")
    first = run_cleanup(**JUNK).report
    deployed(prefect, "other", OTHERS, Running())
    looks.number = 0

    assert tried_again(first.flow_run_id).outcome == "deleted"
    assert looks.number == 0


def test_a_single_run_asks_close_nothing_for_it(
    sandbox: CloseAccount, prefect: SyncPrefectClient, run_cleanup: Run
) -> None:
    run_cleanup(**{**JUNK, "dry_run": True})
    dry = [each["path"] for each in sandbox.requests()]
    sandbox.forget_requests()

    run_cleanup(**JUNK)

    assert [each["path"] for each in sandbox.requests()][: len(dry)] == dry
