"""What a plan published, as a person at a terminal reads it."""

import json
from typing import Any, NamedTuple

import pytest

from flows.commands.show import aligned, notes, sampled
from tasks.report import escape


class Published(NamedTuple):
    """As much of an artifact as there is to read."""

    description: str | None
    data: Any


def published(name: str) -> Published:
    row = {"name": escape(name), "status": "Junk", "last communication": "never", "lead": "lead_1", "url": ""}
    return Published(None, json.dumps([row]))


@pytest.mark.parametrize(
    "name", ["Acme", "=HYPERLINK(1)", "-x", "+1", "@me", "'t Hooft", "a & b &amp; <b>", "\\*_|", "[x](y)"]
)
def test_a_name_is_shown_as_it_is_in_close(name: str):
    assert sampled(published(name)) == [(name, "Junk", "never", "lead_1")]


def test_a_name_cannot_steer_the_terminal():
    row = {"name": "\x1b[2J\u202eevil\r", "status": "", "last communication": "", "lead": ""}

    assert sampled(Published(None, json.dumps([row])))[0][0] == "[2Jevil"


def test_a_very_long_name_is_cut():
    name, *_ = sampled(published("x" * 300))[0]

    assert len(name) < 40
    assert name.endswith("…")


def test_notes_are_found_in_a_plan():
    assert notes(Published("**1 of 2**\n\n> keep\\.x doesn't hold\n\nSeen by", None)) == ["keep\\.x doesn't hold"]
    assert notes(None) == []


def test_columns_stand_below_one_another_whatever_the_script():
    assert aligned([("name", "n"), ("株式", "2"), ("ab", "3")]) == ["name  n", "株式  2", "ab    3"]
