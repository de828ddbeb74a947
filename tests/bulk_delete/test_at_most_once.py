"""One run, one bulk delete: whatever Close answers, however often the run is tried again, whoever else is at it."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from prefect.client.schemas.objects import FlowRun
from support.attempts import attempt, created, on_one_tick, tried_again, wait_until
from support.close_account import CloseAccount, lead
from support.variations import first

from flows.lead_cleanup import lead_cleanup
from tasks.bulk_delete.resume import give_up
from tasks.close.query.nodes import to_json
from tasks.close.resources import LeadStatus
from tasks.criteria.names import Names
from tasks.criteria.policy import Keep, Match
from tasks.criteria.selection import Criteria
from tasks.ledger import store as ledger
from tasks.report.ending import report_of
from tasks.report.model import Report
from tasks.runs import stop
from tasks.runs.look_up import look_up
from tasks.runs.run import run_of

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("fake_clock")]

Run = Callable[..., Any]
BULK_DELETE = "/bulk_action/delete/"
JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "dry_run": False, "backup": False}


@pytest.mark.parametrize("status", first(1, [400, 401, 429]))
def test_what_close_refused_may_be_tried_again(sandbox: CloseAccount, run_cleanup: Run, status: int) -> None:
    """These answers prove that nothing was started. The record says so, and another attempt makes its own claim."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", BULK_DELETE, "status", times=10 if status == 429 else 1, status=status)

    first = run_cleanup(**JUNK).report
    sandbox.clear_faults()
    again = tried_again(first.flow_run_id)

    assert first.outcome in {"refused", "failed"}
    assert again is not None
    assert again.outcome == "deleted"
    assert len(sandbox.leads()) == 1


@pytest.mark.parametrize("cleanup", first(1, ["unresolved", "cleanup:unresolved", "lead-cleanup"]))
def test_a_cleanup_may_be_called_as_the_ledger_calls_an_open_claim(
    sandbox: CloseAccount, run_cleanup: Run, cleanup: str
) -> None:
    """What became of its claim is known: it is in nobody's way."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", BULK_DELETE, "status", status=403)

    refused = run_cleanup(**JUNK, cleanup=cleanup).report
    another = run_cleanup_keeping_the_ledger()

    assert (refused.outcome, another.outcome) == ("refused", "deleted")


def test_the_open_claim_of_a_cleanup_called_given_up_is_not_given_up(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """Or others would start while its bulk delete is only paused."""
    sandbox.add(*(lead(f"{n}", "Junk") for n in range(3)), lead("B"))
    sandbox.jobs(status="paused", stall_after=1)
    limits = {"max_share": 1.0, "max_wait_minutes": 1}

    waits = run_cleanup(**JUNK, limits=limits, cleanup="given-up").report

    assert waits.outcome == "still_running"
    assert ledger.given_up(waits.organization_id) == []
    assert [str(each.run_id) for each in ledger.open_claims(waits.organization_id)] == [waits.flow_run_id]
    assert run_cleanup_keeping_the_ledger().outcome == "refused"


def test_a_cleanup_called_as_an_organisation_is_not_taken_for_its_claim(
    sandbox: CloseAccount, run_cleanup: Run
) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", BULK_DELETE, "drop_before")

    unknown = run_cleanup(**JUNK, cleanup="orga_other").report

    assert (unknown.outcome, len(ledger.open_claims()), ledger.open_claims("orga_other")) == ("unknown", 1, [])


def test_a_stop_that_comes_while_a_run_plans_still_stops_it(sandbox: CloseAccount, run_cleanup: Run) -> None:
    """It is read at the beginning, and once more right before the claim."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("GET", BULK_DELETE, "delay", seconds=1.0)

    def stop_meanwhile() -> None:
        wait_until(lambda: any(each["path"] == BULK_DELETE for each in sandbox.requests()))
        stop.put("Sales asked us to wait")

    meanwhile = threading.Thread(target=stop_meanwhile)
    meanwhile.start()
    report = run_cleanup(**JUNK).report
    meanwhile.join()

    assert report.outcome == "refused"
    assert "Sales asked us to wait" in report.message
    assert sandbox.posts(BULK_DELETE) == []


def test_a_run_that_has_ended_stands_in_nobodys_way(sandbox: CloseAccount, run_cleanup: Run) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    first = run_cleanup(**JUNK).report
    sandbox.add(lead("C", "Junk"))

    record = ledger.read(UUID(first.flow_run_id))
    another = run_cleanup_keeping_the_ledger()

    assert record is not None
    assert (record.bulk_delete_id, record.ended) == (first.bulk_delete_id, "done")
    assert another.outcome == "deleted"


def test_of_two_runs_at_once_at_most_one_starts(sandbox: CloseAccount, run_cleanup: Run) -> None:
    sandbox.add(*(lead(f"{n}", "Junk") for n in range(10)), *(lead(f"{n}") for n in range(2)))
    sandbox.jobs(leads_per_second=5)
    ended: list[Report] = []

    runs = [threading.Thread(target=lambda: ended.append(run_cleanup_keeping_the_ledger())) for _ in range(2)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()

    assert len(sandbox.posts(BULK_DELETE)) <= 1
    assert {each.outcome for each in ended} <= {"deleted", "refused", "nothing_to_do"}
    assert [str(each.outcome) for each in ended].count("deleted") == len(sandbox.posts(BULK_DELETE))


FIRST, SECOND, OTHER = 111, 222, 333
MARKS = SECOND * 1000 + FIRST


@pytest.mark.parametrize(
    "marks", first(1, [OTHER * 1000 + FIRST, SECOND * 1000 + OTHER, FIRST * 1000 + SECOND + 1, FIRST * 1000 + FIRST])
)
def test_a_run_that_shares_one_mark_with_another_of_its_second_has_nothing_to_do_with_it(
    sandbox: CloseAccount, empty_ledger: None, marks: int
) -> None:
    """Once in a thousand times they do. Each deletes its own."""
    sandbox.add(lead("A", "Junk"), lead("B", "Bad Fit"), lead("C"))
    stranger, innocent = on_one_tick([JUNK, {**JUNK, "match": {"status": ["Bad Fit"]}}], [marks, MARKS])

    reports = [attempt(stranger), attempt(innocent)]

    assert [each and each.outcome for each in reports] == ["deleted", "deleted"]
    assert len(sandbox.posts(BULK_DELETE)) == 2
    assert [each["name"] for each in sandbox.leads().values()] == ["C"]


def test_a_run_that_shares_both_marks_with_another_is_unknown_and_never_posts(
    sandbox: CloseAccount, empty_ledger: None
) -> None:
    """Once in a million times. It can't rule out that this is its own, changed by Close."""
    sandbox.add(lead("A", "Junk"), lead("B", "Bad Fit"), lead("C"))
    stranger, innocent = on_one_tick([JUNK, {**JUNK, "match": {"status": ["Bad Fit"]}}], [MARKS, MARKS])

    reports = [attempt(stranger), attempt(innocent), tried_again(innocent.id)]

    assert [each and each.outcome for each in reports] == ["deleted", "unknown", "unknown"]
    assert len(sandbox.posts(BULK_DELETE)) == 1


@pytest.mark.parametrize("marks", first(1, [MARKS, OTHER * 1000 + FIRST]))
def test_a_strangers_finished_bulk_delete_settles_no_other_runs_claim(
    sandbox: CloseAccount, empty_ledger: None, marks: int
) -> None:
    """Whether it has both marks of it or one. What became of the claim isn't known, so another run has to wait."""
    sandbox.add(lead("A", "Junk"), lead("B", "Bad Fit"), lead("C", "Qualified"), lead("D"))
    matches = [{"status": [status]} for status in ("Junk", "Bad Fit", "Qualified")]
    stranger, claimed, another = on_one_tick([{**JUNK, "match": each} for each in matches], [marks, MARKS, OTHER])
    sandbox.fault("POST", BULK_DELETE, "drop_before")
    lost = attempt(claimed)
    sandbox.post(BULK_DELETE, s_query=s_query_of(stranger, "Junk"))
    wait_until(lambda: sandbox.get(BULK_DELETE)["data"][0]["status"] == "done")

    refused = attempt(another)

    assert [each and each.outcome for each in (lost, refused)] == ["unknown", "refused"]
    assert refused is not None
    assert f"Run {claimed.id} (ad-hoc) claimed a bulk delete" in refused.message
    assert [each.run_id for each in ledger.open_claims()] == [claimed.id]

    give_up(look_up(str(claimed.id)), "Ann")
    assert tried_again(another.id).outcome == "deleted"


def s_query_of(run: FlowRun, status: str) -> dict[str, Any]:
    """A query that bears the marks of *run*."""
    names = Names(statuses=[LeadStatus(id=f"stat_{status}", label=status)])
    found = run_of(run, "ad-hoc")
    criteria = Criteria(Match(status=[status]), Keep(), found.as_of, updated_before=found.updated_before)
    return to_json(criteria.select(names).planned())


@pytest.mark.parametrize("echo", first(1, ["normalised", "as_sent", "microseconds", "space", "no_zone"]))
def test_however_close_spells_its_query_a_run_neither_warns_nor_ends_unknown_after_a_lost_answer(
    sandbox: CloseAccount, run_cleanup: Run, caplog: pytest.LogCaptureFixture, echo: str
) -> None:
    sandbox.behaviour(echo=echo)
    sandbox.add(lead("A", "Junk"), lead("B"))
    heard = run_cleanup(**JUNK).report
    sandbox.add(lead("C", "Junk"))
    sandbox.fault("POST", BULK_DELETE, "drop_after")
    lost = run_cleanup_keeping_the_ledger()

    assert [heard.outcome, lost.outcome] == ["deleted", "deleted"]
    assert "another query" not in caplog.text
    assert len(sandbox.posts(BULK_DELETE)) == 2


def test_of_four_copies_of_a_run_one_starts_and_the_latest_says_how_it_ended(
    sandbox: CloseAccount, empty_ledger: None
) -> None:
    """Prefect may take a living run for dead and have it tried again beside itself. Close's list shows nothing yet."""
    sandbox.fault("GET", BULK_DELETE, "edit", fields={"data": []}, times=10_000)
    sandbox.add(*(lead(f"{n}", "Junk") for n in range(10)), *(lead(f"{n}") for n in range(2)))
    run = created({**JUNK, "limits": {"max_share": 1.0}})
    reports: list[Report | None] = []

    copies = [threading.Thread(target=lambda: reports.append(attempt(run))) for _ in range(4)]
    for each in copies:
        each.start()
    for each in copies:
        each.join()

    assert {each.outcome for each in reports if each} == {"deleted"}, "those that a later one supersedes say nothing"
    assert len(sandbox.posts(BULK_DELETE)) == 1


def test_what_lost_its_protection_since_the_plan_stops_the_run(
    sandbox: CloseAccount, run_cleanup: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing an opportunity needn't show on the lead itself, so the leads are counted again right before the start."""
    _, protected, _ = sandbox.add(
        lead("A", "Junk"), lead("B", "Junk", opportunities=[{"status_type": "active"}]), lead("C")
    )
    [opportunity] = sandbox.leads()[protected]["opportunities"]
    lost = next(each["id"] for each in sandbox.get("/status/opportunity/")["data"] if each["type"] == "lost")

    once_planned(monkeypatch, lambda: sandbox.put(f"/opportunity/{opportunity['id']}/", status_id=lost))
    report = run_cleanup(**JUNK).report

    assert report.outcome == "refused"
    assert "2 leads match now, but only 1 was planned" in report.message
    assert len(sandbox.leads()) == 3


def test_for_leads_that_are_all_gone_since_the_plan_nothing_is_started(
    sandbox: CloseAccount, run_cleanup: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    junk, _ = sandbox.add(lead("A", "Junk"), lead("B"))

    once_planned(monkeypatch, lambda: sandbox.put(f"/lead/{junk}/", description="call her"))
    report = run_cleanup(**JUNK).report

    assert (report.outcome, report.message) == ("nothing_to_do", "None of the planned leads matches any more.")
    assert sandbox.posts(BULK_DELETE) == []
    assert ledger.open_claims() == []


@pytest.mark.parametrize("past", first(1, [0, 100]))
def test_being_careful_costs_two_requests(sandbox: CloseAccount, run_cleanup: Run, past: int) -> None:
    """One page of past bulk deletes and one count, between the plan and the POST."""
    nothing = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}, {"type": "id", "value": "x"}]}
    sandbox.jobs(created_seconds=0, loading_seconds=0)
    for _ in range(past):
        sandbox.post(BULK_DELETE, s_query=nothing)
    sandbox.add(lead("A", "Junk"), lead("B"))
    wait_until(lambda: {each["status"] for each in sandbox.get(BULK_DELETE)["data"]} <= {"done"})
    sandbox.forget_requests()
    run_cleanup(**{**JUNK, "dry_run": True})
    planning = len(asked(sandbox))
    sandbox.forget_requests()

    report = run_cleanup(**JUNK).report

    assert report.outcome == "deleted"
    start = asked(sandbox)[planning:]
    assert start[: start.index(f"POST {BULK_DELETE}")] == [f"GET {BULK_DELETE}", "POST /data/search/"]


def asked(sandbox: CloseAccount) -> list[str]:
    """What was asked of Close, in order, since the journal was emptied."""
    return [f"{each['method']} {each['path']}" for each in sandbox.requests()]


def once_planned(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Somebody does something in Close between the plan and the start."""

    def meanwhile(*_: Any, key: str | None = None, **__: Any) -> None:
        if key and key.endswith("-plan"):
            act()

    monkeypatch.setattr("tasks.report.plan_artifact.publish", meanwhile)


def run_cleanup_keeping_the_ledger() -> Report:
    """Another run of the same cleanup."""
    report = report_of(lead_cleanup(**JUNK, limits={"max_share": 1.0}, return_state=True))
    assert isinstance(report, Report)
    return report
