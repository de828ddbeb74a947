"""The instant a run stands for."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

from prefect.client.schemas.objects import FlowRun

from tasks.runs.run import cut_offs, run_of

TICK = datetime(2026, 3, 31, 6, 0, 0, 987654, tzinfo=UTC)


def test_the_cut_off_is_the_second_before_the_start_marked_with_the_run():
    second = datetime(2026, 3, 31, 5, 59, 59, tzinfo=UTC)

    assert cut_offs(UUID(int=1_517_042), TICK) == (
        second.replace(microsecond=42_000),
        second.replace(microsecond=517_000),
    )
    assert cut_offs(UUID(int=999), TICK) == (second.replace(microsecond=999_000), second)


def test_it_never_lies_ahead_of_the_start():
    """A lead that is edited in between would be deleted though it was edited after the plan."""
    whole = TICK.replace(microsecond=0)

    assert all(max(cut_offs(UUID(int=mark), whole)) < whole for mark in (0, 1, 500, 999, 999_999))


def test_it_is_the_same_for_every_attempt_wherever_it_runs():
    run, tokyo = uuid4(), timezone(timedelta(hours=9))

    assert cut_offs(run, TICK) == cut_offs(run, TICK.astimezone(tokyo)) == cut_offs(run, TICK.replace(microsecond=0))
    assert {each.tzinfo for each in cut_offs(run, TICK.astimezone(tokyo))} == {UTC}


def test_a_run_has_moments_of_pythons_own():
    """Those of Prefect's client are Pendulum's before Python 3.13, and warn when they are used like Pendulum's."""
    started = TICK + timedelta(minutes=5)
    found = FlowRun.model_validate({"flow_id": uuid4(), "expected_start_time": TICK, "start_time": started})

    run = run_of(found, "junk")

    assert (type(run.as_of), type(run.late)) == (datetime, timedelta)
    assert ((run.as_of, run.updated_before), run.late) == (cut_offs(run.id, TICK), timedelta(minutes=5))


def test_two_runs_of_one_tick_share_both_marks_only_once_in_a_million():
    ids = range(0, 1_000_000, 997)

    assert len({cut_offs(UUID(int=number), TICK) for number in ids}) == len(ids)
    assert cut_offs(UUID(int=7), TICK) == cut_offs(UUID(int=1_000_007), TICK)
