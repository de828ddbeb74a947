"""Waiting for a bulk delete, with a clock that only moves when somebody sleeps; and the marks by which it is known."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from close.scripted_close import KEY, Answer, Clock, ScriptedClose
from pydantic import SecretStr

from tasks.bulk_delete.find import bulk_delete_of, check_idle, has_marks
from tasks.bulk_delete.start import check_drift
from tasks.bulk_delete.wait import Finished, wait
from tasks.close.client import CloseClient
from tasks.close.polling import next_poll
from tasks.close.resources import BulkDelete
from tasks.close.settings import CloseSettings
from tasks.ledger.record import BackupTaken, Record
from tasks.plan.model import Counts, Plan
from tasks.runs.outcomes import Outcome, Refused, Stop

AS_OF = datetime(2026, 3, 31, 10, 20, 30, 456000, tzinfo=UTC)
SECOND = AS_OF.replace(microsecond=789_000)


def job(status: str | None = "processing", processed: int = 0, total: int | None = None, **more: Any) -> BulkDelete:
    return BulkDelete.model_validate(answer(status, processed, total, **more))


def answer(status: str | None, processed: int = 0, total: int | None = None, **more: Any) -> dict[str, Any]:
    return {"id": "bulkdelete_1", "status": status, "n_leads": total, "n_leads_processed": processed, **more}


def clauses(*instants: str) -> dict[str, Any]:
    field = {"type": "regular_field", "object_type": "lead", "field_name": "date_created"}
    bounds = [{"type": "moment_range", "before": {"type": "fixed_utc", "value": instant}} for instant in instants]
    return {
        "type": "and",
        "queries": [{"type": "field_condition", "field": field, "condition": each} for each in bounds],
    }


@pytest.fixture
def server() -> Iterator[ScriptedClose]:
    with ScriptedClose() as running:
        yield running


def waited(server: ScriptedClose, clock: Clock, minutes: float = 60) -> tuple[Finished, list[str | None]]:
    """What `wait` returns, and the statuses that it showed."""
    shown: list[str | None] = []
    settings = CloseSettings(api_url=server.url, api_key=SecretStr(KEY))
    with CloseClient(settings, sleep=clock.sleep, clock=clock, random=lambda: 0.0) as close:
        patience = timedelta(minutes=minutes)
        found = wait(close, "bulkdelete_1", patience, lambda each: shown.append(each.status))
    return found, shown


# --- wait -------------------------------------------------------------------------------------------------------------


def test_it_waits_until_close_says_done(server: ScriptedClose):
    server.will_answer(
        Answer(answer("created")),
        Answer(answer("loading")),
        Answer(answer("processing", 5, 10)),
        Answer(answer("done", 10, 10)),
    )

    found, shown = waited(server, Clock())

    assert (found.job.status, found.polls) == ("done", 4)
    assert shown == ["created", "loading", "processing", "done"]


@pytest.mark.parametrize("status", ["paused", "resuming", "complete", "DONE", None])
def test_only_done_and_error_are_final(server: ScriptedClose, status: str | None):
    """A status that we don't know is neither success nor the end."""
    server.will_answer(Answer(answer(status, 10, 10)), Answer(answer("error", 10, 10)))

    found, shown = waited(server, Clock())

    assert (found.job.status, shown) == ("error", [status, "error"])


def test_at_the_deadline_it_says_that_close_goes_on(server: ScriptedClose):
    clock = Clock()
    server.will_answer(*[Answer(answer("processing", 1, 1000))] * 100)

    with pytest.raises(Stop, match=r"(?s)1 of 1,000 leads.*is still deleting.*will not start another") as caught:
        waited(server, clock, minutes=1)

    assert caught.value.outcome is Outcome.STILL_RUNNING
    assert clock.now == pytest.approx(1060)  # asked a last time at the deadline, and not slept beyond it


def test_what_ends_just_before_the_deadline_is_seen(server: ScriptedClose):
    clock = Clock()
    server.will_answer(Answer(answer("processing", 1, 10**6)), Answer(answer("done", 10, 10)))

    found, _ = waited(server, clock, minutes=1 / 600)

    assert found.job.status == "done"
    assert clock.now == pytest.approx(1000.1)


def test_close_being_away_does_not_end_the_wait(server: ScriptedClose):
    server.will_answer(*[Answer(status=503)] * 4, Answer(answer("done", 3, 3)))
    clock = Clock()

    found, _ = waited(server, clock)

    assert found.job.status == "done"


@pytest.mark.parametrize("status", [400, 401, 402, 403])
@pytest.mark.parametrize(
    ("before", "says"),
    [
        ([], "Close continues bulk delete bulkdelete_1, unless it is paused, but"),
        ([("created", 0)], "Close continues bulk delete bulkdelete_1, which had reached 0 of 1,000 leads, but"),
        ([("processing", 5)], "Close continues bulk delete bulkdelete_1, which had reached 5 of 1,000 leads, but"),
        ([("paused", 5)], "Close has paused bulk delete bulkdelete_1 at 5 of 1,000 leads, but"),
    ],
)
def test_a_key_that_is_refused_while_close_deletes_is_still_running(
    server: ScriptedClose, status: int, before: list[tuple[str, int]], says: str
):
    """Not failed: Close continues. It says so, how far it had got, what is wrong with the key, and what to do."""
    seen = [Answer(answer(each, processed, 1000)) for each, processed in before]
    server.will_answer(*seen, Answer({"error": "no"}, status=status))

    with pytest.raises(Stop) as caught:
        waited(server, Clock())

    assert caught.value.outcome is Outcome.STILL_RUNNING
    assert caught.value.message.startswith(says)
    assert caught.value.message.endswith("Retry this run to keep waiting; it will not start another one.")
    assert status != 401 or "CLOSE_API_KEY" in caught.value.message


def test_a_job_that_has_vanished_is_unknown(server: ScriptedClose):
    clock = Clock()
    server.will_answer(Answer(answer("processing", 1, 3)), *[Answer({"error": "gone"}, status=404)] * 100)

    with pytest.raises(Stop, match="does not know bulk delete bulkdelete_1 any more") as caught:
        waited(server, clock)

    assert caught.value.outcome is Outcome.UNKNOWN
    assert clock.now == pytest.approx(1061, abs=2)


def test_a_job_that_is_not_known_everywhere_at_once_is_waited_for(server: ScriptedClose):
    """Right after the start one part of Close may not have heard of it yet."""
    server.will_answer(*[Answer({"error": "not found"}, status=404)] * 3, Answer(answer("done", 3, 3)))

    found, _ = waited(server, Clock())

    assert found.job.status == "done"


def test_a_bulk_delete_that_stands_still_is_called_stalled_again_and_again(
    server: ScriptedClose, caplog: pytest.LogCaptureFixture
):
    """Every ten minutes, so that it is seen and doesn't fill the log; and not while it moves, however slowly."""
    still, clock = [Answer(answer("processing", 5, 10))] * 90, Clock()
    server.will_answer(*still, Answer(answer("processing", 6, 10)), *still[:10], Answer(answer("done", 10, 10)))

    waited(server, clock, minutes=120)

    assert caplog.messages == ["Bulk delete bulkdelete_1 has stalled: 5 of 10 leads for 10 minutes."] * 2


def test_a_pause_is_said_once_and_ends_with_how_to_go_on(server: ScriptedClose, caplog: pytest.LogCaptureFixture):
    server.will_answer(*[Answer(answer("paused", 5, 10))] * 200)

    with pytest.raises(Stop, match=r"5 of 10 leads, paused\)\. Somebody can resume it") as caught:
        waited(server, Clock(), minutes=60)

    assert caught.value.outcome is Outcome.STILL_RUNNING
    [warning] = caplog.messages
    assert "paused at 5 of 10 leads" in warning


@pytest.mark.parametrize("status", ["archived", None])
def test_a_status_that_nobody_knows_is_said_once_and_ends_unknown(
    server: ScriptedClose, status: str | None, caplog: pytest.LogCaptureFixture
):
    server.will_answer(*[Answer(answer(status, 10, 10))] * 100)

    with pytest.raises(Stop, match="isn't known here: look at it in Close") as caught:
        waited(server, Clock(), minutes=5)

    assert caught.value.outcome is Outcome.UNKNOWN
    assert caplog.messages == [
        f"Bulk delete bulkdelete_1 has the status {status!r}, which isn't known here. Still waiting."
    ]


def test_more_leads_than_were_planned_are_not_deleted():
    plan = PLAN.model_copy(update={"counts": Counts(total=100, matched=3, kept={"total": 0}, planned=3)})
    backup = BackupTaken(url="memory://backups", leads=2, keep_until=AS_OF)

    check_drift(3, plan, None)
    check_drift(2, plan, backup)
    with pytest.raises(Refused, match="4 leads match now, but only 3 were planned"):
        check_drift(4, plan, None)
    with pytest.raises(Refused, match="3 leads match now, but the backup has 2 of the 3 planned"):
        check_drift(3, plan, backup)


# --- the pace of polls ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "at_most"), [(0, 1), (1, 5), (5, 25), (60, 45), (600, 75), (7200, 320)])
def test_an_end_is_noticed_within_a_tenth_of_the_time_or_a_second_after_few_polls(seconds: int, at_most: int):
    """However a job gets on, steadily, in bursts, slowly at first or at last: polls don't go by its progress."""
    waited, polls = 0.0, 1
    while waited < seconds:
        waited += next_poll(waited)
        polls += 1

    assert waited - seconds <= max(1, seconds / 10)
    assert polls <= at_most


def test_a_wait_of_days_polls_every_half_minute():
    assert next_poll(3600) == next_poll(7 * 24 * 3600) == 30


# --- the marks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "instants",
    [
        ("2026-03-31T10:20:30.456Z", "2026-03-31T10:20:30.789Z"),
        ("2026-03-31T10:20:30.456000+00:00", "2026-03-31 10:20:30.789000+00:00"),
        ("2026-03-31T10:20:30.456", "2026-03-31T12:20:30.789+02:00"),
        ("sometime", "2026-03-31T10:20:30.789Z", "2020-01-01T00:00:00Z", "2026-03-31T10:20:30.456Z"),
        ("2026-03-31T10:20:30.456Z", "9999-12-31T24:00", "0001-01-01T00:00+02:00", "2026-03-31T10:20:30.789Z"),
    ],
)
def test_the_marks_are_found_in_whatever_spelling(instants: tuple[str, ...]):
    assert has_marks(job(s_query=clauses(*instants)), (AS_OF, SECOND))


@pytest.mark.parametrize(
    "s_query",
    [
        None,
        {},
        {"type": "and", "queries": []},
        {"type": "near", "value": "2026-03-31T10:20:30.456Z"},
        clauses("2026-03-31T10:20:30.456Z", "2026-03-31T10:20:30.457Z"),
        clauses("2026-03-31T10:20:30.456Z", "2026-03-31T10:20:30.456Z"),
        clauses("2026-03-31T10:20:30.789Z", "2026-03-31T10:20:30Z"),
        clauses("2026-03-31"),
    ],
)
def test_other_bulk_deletes_have_one_of_them_at_most(s_query: dict[str, Any] | None):
    assert not has_marks(job(s_query=s_query), (AS_OF, SECOND))


def test_of_a_run_whose_marks_are_equal_both_must_be_there():
    once, twice = clauses("2026-03-31T10:20:30.456Z"), clauses("2026-03-31T10:20:30.456Z", "2026-03-31T10:20:30.456Z")

    assert not has_marks(job(s_query=once), (AS_OF, AS_OF))
    assert has_marks(job(s_query=twice), (AS_OF, AS_OF))


PLAN = Plan.of(
    organization_id="orga_1",
    organization="Acme",
    user_id="user_1",
    as_of=AS_OF,
    updated_before=SECOND,
    s_query=clauses("2026-03-31T10:20:30.456Z", "2026-03-31T10:20:30.789Z"),
    counts=Counts(total=100, matched=1, kept={"total": 0}, planned=1),
)


def ours(**more: Any) -> BulkDelete:
    body = answer("processing", s_query=PLAN.s_query, organization_id="orga_1", created_by="user_1")
    return BulkDelete.model_validate({**body, **more})


def test_our_own_bulk_delete_is_found_among_others():
    """One that has a single mark of ours is a stranger's, once in a thousand for each."""
    other = job(s_query=clauses("2026-03-31T10:20:30.456Z", "2026-03-31T10:20:30.999Z"))

    assert bulk_delete_of(PLAN, [other, ours()]) == ours()
    assert bulk_delete_of(PLAN, [ours(created_by=None, organization_id=None)]) is not None
    assert bulk_delete_of(PLAN, [other]) is None
    assert bulk_delete_of(PLAN, []) is None


@pytest.mark.parametrize(
    "jobs",
    [
        [ours(), ours()],
        [ours(created_by="user_2")],
        [ours(organization_id="orga_2")],
        [ours(s_query=clauses("2026-03-31T10:20:30.456Z", "2026-03-31T10:20:30.789Z", "2020-01-01T00:00:00Z"))],
    ],
)
def test_our_marks_on_something_else_are_unknown(jobs: list[BulkDelete]):
    with pytest.raises(Stop) as caught:
        bulk_delete_of(PLAN, jobs)

    assert caught.value.outcome is Outcome.UNKNOWN


def test_what_0_1_claimed_is_known_by_its_one_mark():
    facts = PLAN.model_copy(update={"updated_before": None}).as_planned()
    plan = Plan.of(clauses("2026-03-31T10:20:30.456Z", "2026-03-31T10:20:30.456Z"), **facts)

    assert bulk_delete_of(plan, [ours(s_query=plan.s_query)]) == ours(s_query=plan.s_query)
    with pytest.raises(Stop):
        bulk_delete_of(plan, [ours(s_query=clauses("2026-03-31T10:20:30.456Z"))])


def test_what_a_record_has_the_id_of_is_known_by_it():
    """With any query that Close shows for it, and any other bulk delete that has the marks."""
    record = Record(**PLAN.as_planned(), run_id=UUID(int=1), cleanup="junk", bulk_delete_id="bulkdelete_1")

    assert bulk_delete_of(record, [ours(id="bulkdelete_2"), job(s_query={})]) == job(s_query={})
    assert bulk_delete_of(record, [ours(id="bulkdelete_2")]) == ours(id="bulkdelete_2")


@pytest.mark.parametrize("status", ["created", "loading", "processing", "resuming", "queued", None, "paused"])
def test_an_unfinished_bulk_delete_of_somebody_else_refuses(status: str | None):
    with pytest.raises(Refused, match="Resume it, in Close" if status == "paused" else "Wait until it has finished"):
        check_idle([job("done"), job(status)])


def test_where_the_ledger_knows_the_run_that_started_it_that_run_is_named():
    with pytest.raises(Refused, match=rf"`lead-cleanup resume {UUID(int=1)}` resumes it\."):
        check_idle([job("paused")], runs={job("paused").id: UUID(int=1)})


def test_one_that_has_been_paused_for_more_than_a_week_is_given_up():
    now = datetime.now(UTC)

    check_idle([job("paused", date_updated=now - timedelta(days=8)), job("error"), job("done")])
    with pytest.raises(Refused):
        check_idle([job("paused", date_updated=now - timedelta(days=6))])
    with pytest.raises(Refused):
        check_idle([job("processing", date_updated=now - timedelta(days=8))])
