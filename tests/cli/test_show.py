"""A report, as a person at a terminal reads it."""

import pytest

from flows.console.show import aligned, sampled, show
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


@pytest.mark.parametrize("name", ["Acme", "=HYPERLINK(1)", "-x", "'t Hooft", "a & b &amp; <b>", "\\*_|", "[x](y)"])
def test_a_name_is_shown_as_it_is_in_close(name: str):
    assert sampled(planned(name)) == [(name, "Junk", "never", "lead_1")]


def test_a_name_cannot_steer_the_terminal():
    assert sampled(planned("\x1b[2J\u202eevil\r"))[0][0] == "[2Jevil"


def test_a_very_long_name_is_cut():
    name, *_ = sampled(planned("x" * 300))[0]

    assert len(name) < 40
    assert name.endswith("…")


def test_notes_and_names_are_shown_but_neither_in_json_nor_in_a_log(capsys: pytest.CaptureFixture[str]):
    report = planned("Wayne Enterprises")

    show(report, None)

    printed = capsys.readouterr().out
    assert "Wayne Enterprises" in printed
    assert "Note: keep.x doesn't hold" in printed
    assert "Wayne" not in report.model_dump_json() + repr(report) + str(report)


def test_columns_stand_below_one_another_whatever_the_script():
    assert aligned([("name", "n"), ("株式", "2"), ("ab", "3")]) == ["name  n", "株式  2", "ab    3"]
