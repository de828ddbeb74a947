"""Rate limits are kept by all threads together."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event, Semaphore

import pytest
from scripted_close import Clock

from tasks.close.rate_limits import RateLimits

FOREVER = 1e9


@pytest.fixture
def limits(clock: Clock) -> RateLimits:
    return RateLimits(clock=clock, sleep=clock.sleep)


def test_nothing_is_waited_for_until_close_has_said_something(limits: RateLimits, clock: Clock):
    assert limits.left("search") is None
    with limits.room("search", FOREVER):
        pass
    assert clock.sleeps == []


def test_a_window_that_is_used_up_is_waited_for(limits: RateLimits, clock: Clock):
    limits.note("search", "limit=16, remaining=0, reset=5")
    with limits.room("other", FOREVER):
        pass
    assert clock.sleeps == []
    with limits.room("search", FOREVER):
        assert clock.sleeps == [5]
        assert limits.left("search") == 15


def test_endpoints_with_the_same_limit_are_taken_to_share_it(limits: RateLimits, clock: Clock):
    limits.note("task", "limit=240, remaining=9, reset=5")
    limits.note("note", "limit=240, remaining=1, reset=5")
    limits.note("search", "limit=16, remaining=0, reset=5")
    with limits.room("note", FOREVER):
        assert (limits.left("task"), clock.sleeps) == (0, [])
        with limits.room("task", FOREVER):
            assert clock.sleeps == [5]


def test_of_ends_that_are_rounded_up_the_first_is_right(limits: RateLimits, clock: Clock):
    limits.note("search", "limit=16, remaining=1, reset=5")
    clock.sleep(0.9)
    limits.note("search", "limit=16, remaining=0, reset=5")
    with limits.room("search", FOREVER):
        assert clock.sleeps == [0.9, pytest.approx(4.1)]


def test_a_window_that_ended_later_than_was_heard_is_waited_for_again(limits: RateLimits, clock: Clock):
    limits.note("search", "limit=16, remaining=0, reset=5")
    clock.sleep(5.1)
    said = limits.note("search", "limit=16, remaining=0, reset=0.4")
    assert said is not None
    assert said.reset == 0.4
    assert limits.left("search") == 0


def test_it_is_waited_for_no_longer_than_until_then(limits: RateLimits, clock: Clock):
    limits.note("search", "limit=16, remaining=0, reset=5")
    with limits.room("search", clock.now + 2):
        assert clock.sleeps == [2]


def test_requests_under_way_count(limits: RateLimits, clock: Clock):
    limits.note("search", "limit=16, remaining=2, reset=5")
    with limits.room("search", FOREVER), limits.room("search", FOREVER):
        assert (limits.left("search"), clock.sleeps) == (0, [])
        with limits.room("search", FOREVER):
            assert clock.sleeps == [5]


def test_of_threads_that_send_at_once_no_more_do_than_may():
    """Five want to, three may; the others wait until Close has said that there is room again."""
    sent, all_had_a_turn, waiting = Semaphore(0), Event(), Semaphore(0)

    def sleep(_: float) -> None:
        waiting.release()
        all_had_a_turn.wait()

    limits = RateLimits(clock=lambda: 0.0, sleep=sleep)
    limits.note("search", "limit=16, remaining=3, reset=5")

    def send() -> None:
        with limits.room("search", FOREVER):
            sent.release()
            all_had_a_turn.wait()

    with ThreadPoolExecutor(5) as threads:
        for _ in range(5):
            threads.submit(send)
        assert all(sent.acquire(timeout=60) for _ in range(3))
        assert all(waiting.acquire(timeout=60) for _ in range(2))
        assert not sent.acquire(blocking=False)
        limits.note("search", "limit=16, remaining=16, reset=5")
        all_had_a_turn.set()
    assert sent.acquire(timeout=60)
    assert sent.acquire(timeout=60)


@pytest.mark.parametrize("header", ["", "nonsense", "limit=x, remaining=1, reset=2"])
def test_an_answer_that_says_nothing_changes_nothing(limits: RateLimits, header: str):
    limits.note("search", "limit=16, remaining=3, reset=5")
    assert limits.note("search", header) is None
    assert limits.left("search") == 3
