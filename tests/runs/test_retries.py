"""What Prefect retries: a task that only reads, while Close is unavailable, and where nobody waits at a terminal."""

import os
import pty
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from close.scripted_close import Answer, ScriptedClose
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.flows import Flow
from support.close_account import CloseAccount, lead

from flows.restore_leads import restore_leads
from tasks.close.errors import BadRequest, CloseError, CloseUnavailable, NotAllowed, RateLimited
from tasks.runs.outcomes import Foreseen, Refused
from tasks.runs.retries import once, reads

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger", "fake_clock")]

Run = Callable[..., Any]
JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "dry_run": False}
AWAY = CloseUnavailable("Close is away.", status=503)


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect retries at once, and twice; and each request of the client is sent once, as if its patience were over."""
    monkeypatch.setenv("CLOSE_RETRY_DELAYS", "0,0")
    monkeypatch.setattr("tasks.close.transport.READ_PATIENCE", 0.0)


@pytest.fixture
def terminal() -> Iterator[None]:
    """Standard input is a terminal."""
    before, (ours, theirs) = os.dup(0), pty.openpty()
    os.dup2(theirs, 0)
    yield
    os.dup2(before, 0)
    for each in (before, ours, theirs):
        os.close(each)


def failing(error: Exception, times: int = 2) -> tuple[Flow[..., int], list[None]]:
    """A flow whose one task, which reads, fails so many times; and a list of its tries."""
    tries: list[None] = []

    @reads
    def looks() -> int:
        tries.append(None)
        if len(tries) <= times:
            raise error
        return len(tries)

    @flow(persist_result=False)
    def runs() -> int:
        return looks()

    return runs, tries


# --- a run outlives an outage that is longer than the client's patience -----------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "after"),
    [
        pytest.param("GET", "/me/", 0, id="the account", marks=pytest.mark.exhaustive),
        pytest.param("POST", "/data/search/", 0, id="the counts"),
        pytest.param("POST", "/data/search/", 7, id="what goes along", marks=pytest.mark.exhaustive),
        pytest.param("GET", "/event/", 0, id="the event log"),
    ],
)
def test_an_outage_while_a_run_reads_ends_in_a_deletion(
    sandbox: CloseAccount, run_cleanup: Run, method: str, path: str, after: int
) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault(method, path, "status", after=after, times=2, status=503)

    report = run_cleanup(**JUNK).report

    assert (report.outcome, report.logged) == ("deleted", 1)


def test_an_outage_during_a_download_ends_in_a_deletion(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """Each try of the task is three of the download."""
    gone, _ = sandbox.add(lead("A", "Junk"), lead("B"))
    with ScriptedClose() as elsewhere:
        sandbox.fault("GET", "/export/", "edit", times=1000, fields={"download_url": elsewhere.url})
        elsewhere.will_answer(*[Answer([{"id": gone}], cut=5)] * 6, Answer([{"id": gone}]))

        assert run_cleanup(**JUNK).report.outcome == "deleted"

    assert len(sandbox.posts("/export/lead/")) == 1


def test_a_storm_of_429s_during_the_planning_ends_in_a_deletion(sandbox: CloseAccount, run_cleanup: Run) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", "/data/search/", "rate_limit", times=2, seconds=30)

    assert run_cleanup(**JUNK).report.outcome == "deleted"


def test_an_outage_that_outlives_the_retries_fails_the_run(sandbox: CloseAccount, run_cleanup: Run) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", "/data/search/", "status", times=100, status=503)

    report = run_cleanup(**JUNK).report

    assert report.outcome == "failed"
    assert "Close has a problem with POST /data/search/ (503" in report.message


def test_an_event_log_that_can_not_be_read_changes_nothing(sandbox: CloseAccount, run_cleanup: Run) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("GET", "/event/", "status", times=100, status=503)

    report = run_cleanup(**JUNK).report

    assert (report.outcome, report.logged) == ("deleted", None)


def test_an_outage_while_a_restore_is_planned_is_outlived(sandbox: CloseAccount, run_cleanup: Run) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    backup = run_cleanup(**JUNK).report.backup
    sandbox.fault("GET", "/lead/", "status", times=2, status=503)

    state = restore_leads(backup, return_state=True)

    assert state.name == "DryRun"


# --- what starts or makes something is never retried ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("POST", "/export/lead/", id="the start of an export"),
        pytest.param("GET", "/bulk_action/delete/", id="the look right before the start"),
        pytest.param("POST", "/bulk_action/delete/", id="the start"),
    ],
)
def test_what_starts_something_is_tried_once(
    sandbox: CloseAccount, run_cleanup: Run, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    monkeypatch.setattr("tasks.close.transport.START_PATIENCE", 0.0)
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault(method, path, "rate_limit", times=1, seconds=30)

    report = run_cleanup(**JUNK).report

    assert report.outcome == "failed"
    tries = [each for each in sandbox.requests() if each["method"] == method and each["path"].endswith(path)]
    assert len(tries) == 1
    assert len(sandbox.leads()) == 2


def test_a_task_that_starts_something_has_no_retries() -> None:
    tries: list[None] = []

    @once
    def starts() -> None:
        tries.append(None)
        raise AWAY

    @flow(persist_result=False)
    def runs() -> None:
        starts()

    runs(return_state=True)

    assert len(tries) == 1


# --- for what, and where ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [AWAY, RateLimited("Slow down."), CloseUnavailable("No connection.")])
def test_a_close_that_is_away_or_limits_us_is_asked_again(error: CloseError) -> None:
    runs, tries = failing(error)

    assert runs() == len(tries) == 3


@pytest.mark.parametrize(
    "error",
    [
        Refused("No."),
        NotAllowed("No.", status=403),
        BadRequest("No.", status=400),
        CloseUnavailable("A redirect.", status=302),
        ValueError("A defect."),
    ],
)
def test_nothing_else_is_retried(error: Exception) -> None:
    runs, tries = failing(error)

    with pytest.raises((Foreseen, CloseError, ValueError)):
        runs()

    assert len(tries) == 1


def test_the_error_of_the_last_try_is_the_run_s() -> None:
    runs, tries = failing(AWAY, times=9)

    with pytest.raises(CloseUnavailable, match="Close is away"):
        runs()

    assert len(tries) == 3


@pytest.mark.usefixtures("terminal")
def test_a_run_at_a_terminal_fails_at_once() -> None:
    """A person who waits there would rather know."""
    runs, tries = failing(AWAY)

    with pytest.raises(CloseUnavailable):
        runs()

    assert len(tries) == 1


@pytest.mark.usefixtures("terminal")
def test_a_deployed_run_is_retried_even_if_its_worker_is_at_a_terminal() -> None:
    runs, tries = failing(AWAY)
    with get_client(sync_client=True) as prefect:
        deployment = prefect.create_deployment(prefect.create_flow(runs), "nightly")
        run = prefect.create_flow_run_from_deployment(deployment)

    run_flow(runs, flow_run=run)

    assert len(tries) == 3


@pytest.mark.parametrize("delays", ["never", "soon"])
def test_settings_that_say_never_or_can_not_be_read_mean_no_retry(monkeypatch: pytest.MonkeyPatch, delays: str) -> None:
    """The task itself says what is wrong with the settings, if it needs them."""
    monkeypatch.setenv("CLOSE_RETRY_DELAYS", delays)
    runs, tries = failing(AWAY)

    with pytest.raises(CloseUnavailable):
        runs()

    assert len(tries) == 1
