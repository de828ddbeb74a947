"""How far a step is, in words."""

import logging

import pytest

from tasks.report import progress
from tasks.report.progress import Progress
from tasks.report.step import Step


@pytest.mark.parametrize(
    ("done", "pace", "said"),
    [
        (150, 0.5, "150 of 241 leads, 4 minutes left"),
        (150, 91 / 60, "150 of 241 leads, 1 minute left"),
        (150, 10, "150 of 241 leads, less than a minute left"),
        (150, 0.01, "150 of 241 leads, 3 hours left"),
        (150, None, "150 of 241 leads"),
        (241, 10, "241 of 241 leads"),
    ],
)
def test_a_step_says_how_long_it_may_still_take(done: int, pace: float | None, said: str):
    assert str(Step("deleted", done, 241, pace)) == said


@pytest.mark.parametrize(("pace", "said"), [(2000, "2,000 a second"), (0.5, "30 leads a minute"), (None, "")])
def test_its_rate_is_in_words(pace: float | None, said: str):
    assert Step("deleted", 1, 2, pace).rate == said


def test_what_moves_all_the_time_is_logged_now_and_then_and_watched_always(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """One lead a second, and a line every ten seconds."""
    caplog.set_level(logging.INFO, "tasks")
    seen: list[Step] = []
    monkeypatch.setattr(progress, "watch", seen.append)
    now = 0.0
    shown = Progress("restored", lambda: now)

    for done in range(1, 26):
        now = float(done)
        shown.show(done, 100)
        shown.show(done, 100)

    assert [each.done for each in seen] == list(range(1, 26))
    assert seen[-1].pace == 1.0
    assert [each.getMessage() for each in caplog.records] == [
        "10 of 100 leads restored, 2 minutes left.",
        "20 of 100 leads restored, 2 minutes left.",
    ]


def test_without_a_total_nothing_is_shown(monkeypatch: pytest.MonkeyPatch):
    seen: list[Step] = []
    monkeypatch.setattr(progress, "watch", seen.append)

    Progress("exported", lambda: 0.0).show(3, None)

    assert seen == []


def test_a_download_that_begins_again_has_no_pace(monkeypatch: pytest.MonkeyPatch):
    seen: list[Step] = []
    monkeypatch.setattr(progress, "watch", seen.append)
    now = 0.0
    shown = Progress("backed up", lambda: now)

    for now, done in [(1.0, 500), (2.0, 100)]:  # noqa: B007 - the clock
        shown.show(done, 1000)

    assert seen[-1].pace is None
