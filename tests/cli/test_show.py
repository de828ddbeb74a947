"""A report, as a person at a terminal reads it."""

import re

import pytest

from flows.console.show import sample_of, show, table
from tasks.plan.model import SampleLead
from tasks.report.model import Report
from tasks.runs.outcomes import Outcome


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


def test_columns_stand_below_one_another_whatever_the_script():
    assert table([("株式", "2"), ("ab", "3")], "name", "n") == ["name  n", "株式  2", "ab    3"]
