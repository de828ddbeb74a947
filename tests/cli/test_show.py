"""A report, as a person at a terminal reads it."""

import re
from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from flows.console.bars import ROOM, Steps, steps_shown
from flows.console.show import sample_of, show, table
from tasks.plan.model import SampleLead
from tasks.report import progress
from tasks.report.model import Report, Unsuccessful
from tasks.report.page import PastRun
from tasks.report.step import Step
from tasks.runs.outcomes import Outcome

SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


def planned(name: str) -> Report:
    return Report(
        outcome=Outcome.DRY_RUN,
        message="1 of 2 leads would be deleted.",
        notes=("keep.x doesn't hold",),
        sample=(SampleLead(id="lead_1", name=name, status="Junk"),),
    )


def cells(report: Report) -> list[str]:
    """What is shown of the one lead in the sample."""
    _, line = sample_of(report)
    return re.split(r" {2,}", line)


@pytest.mark.parametrize("name", ["Acme", "=HYPERLINK(1)", "-x", "'t Hooft", "a & b &amp; <b>", "\\*_|", "[x](y)"])
def test_a_name_is_shown_as_it_is_in_close(name: str):
    assert cells(planned(name)) == [name, "Junk", "never", "lead_1"]


def test_a_name_cannot_steer_the_terminal():
    assert cells(planned("\x1b[2J\u202eevil\r"))[0] == "[2Jevil"


def test_a_very_long_name_is_cut():
    name, *_ = cells(planned("x" * 300))

    assert len(name) < 40
    assert name.endswith("…")


@pytest.mark.parametrize(("columns", "shown"), [(120, "lead_1"), (40, "never")])
def test_on_a_narrow_terminal_the_ids_are_left_out(columns: int, shown: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))

    assert cells(planned("x" * 30))[-1] == shown


def test_notes_and_names_are_shown_but_neither_in_json_nor_in_a_log(capsys: pytest.CaptureFixture[str]):
    report = planned("Wayne Enterprises")

    show(report, None)

    printed = capsys.readouterr().out
    assert "Wayne Enterprises" in printed
    assert "Note: keep.x doesn't hold" in printed
    assert "Wayne" not in report.model_dump_json() + repr(report) + str(report)


@pytest.mark.parametrize(
    ("outcome", "message", "first"),
    [
        (Outcome.SUSPENDED, "Suspended: Close has paused it.", "Suspended\nClose has paused it.\n"),
        (Outcome.CANCELLED, "Cancelled before anything was started.", "Cancelled\nBefore anything was started.\n"),
        (Outcome.CANCELLED, "Cancelled, but it still deletes.", "Cancelled\nCancelled, but it still deletes.\n"),
        (Outcome.RESTORED, "Restored 1 lead.", "Restored\nRestored 1 lead.\n"),
    ],
)
def test_the_word_for_the_outcome_is_not_said_twice_where_the_rest_is_a_sentence(
    outcome: Outcome, message: str, first: str, capsys: pytest.CaptureFixture[str]
):
    report = Report(outcome=outcome, message=message)

    show(report, None)

    assert capsys.readouterr().out == first
    assert str(Unsuccessful(report)) == message


def test_at_a_terminal_the_numbers_have_bars_and_elsewhere_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Each where its leads stand among those that matched. The runs before it are listed below."""
    report = planned("A").model_copy(update={"total": 9, "matched": 4, "kept": {"total": 2}, "planned": 2})
    earlier = [PastRun(datetime(2026, 3, 30, 6, 0, tzinfo=UTC), Outcome.DELETED, 1234, 5, 1229, "run_0")]

    show(report, None)
    plain = capsys.readouterr().out
    show(report.model_copy(update={"kept": {"status": 2, "open_tasks": 1, "total": 2}}), None)
    overlapping = capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    show(report, None, earlier)
    drawn = capsys.readouterr().out

    assert "█" not in plain
    assert ("kept by several rules" in plain, "kept by several rules" in overlapping) == (False, True)
    lines = {line.split()[0]: line for line in drawn.splitlines() if line.strip()}
    bars = {name: line.rstrip().partition("█")[0] for name, line in lines.items()}
    lengths = [lines[name].count("█") for name in ("Leads", "Matched", "Kept", "Planned")]
    assert lengths == [0, ROOM, ROOM // 2, ROOM // 2]
    assert len(bars["Planned"]) == len(bars["Kept"]) + ROOM // 2
    assert lines["2026-03-30"].split() == ["2026-03-30", "06:00", "Deleted", "1,234", "5", "1,229"]


def test_a_step_is_a_bar_that_leaves_the_terminal_as_it_was():
    terminal = StringIO()
    console = Console(file=terminal, force_terminal=True, color_system=None, width=100)
    steps = Steps(console)

    for step in (Step("backed up", 100, 200), Step("deleted", 60, 240, 1.0), Step("deleted", 240, 240, 1.0)):
        steps.show(step)

    shown = terminal.getvalue()
    for text in ("Backed up ", "100/200", " 60/240 60 leads a minute, 3 minutes left", "240/240 60 leads a minute"):
        assert text in shown
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)


@pytest.mark.parametrize("terminal", [True, False])
def test_elsewhere_steps_are_lines(terminal: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)

    with steps_shown():
        assert (progress.watch is not None) == terminal

    assert progress.watch is None


def test_columns_stand_below_one_another_whatever_the_script():
    assert table([("株式", "2"), ("ab", "3")], "name", "n") == ["name  n", "株式  2", "ab    3"]
