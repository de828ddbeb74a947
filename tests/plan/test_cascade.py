"""What goes with the leads of a plan, as a sentence."""

import pytest

from tasks.plan.cascade import KINDS, in_words
from tasks.plan.model import Cascade


@pytest.mark.parametrize(
    ("counts", "worth", "said"),
    [
        (
            {"contacts": 1234, "open opportunities": 2, "lost opportunities": 0, "calls": 7},
            {"USD a year": 1_000_000, "EUR once": 250_000},
            "With these leads go 1,234 contacts, 2 open opportunities (worth 2,500 EUR once, 10,000 USD a year), "
            "7 calls.",
        ),
        (
            {"contacts": 1, "open tasks": 2, "SMS": 1, "meetings": 1},
            {},
            "With these leads go 1 contact, open tasks (on 2 leads), 1 meeting, 1 SMS.",
        ),
        ({"contacts": 0, "calls": 0}, {}, "With these leads goes nothing that was counted."),
        (
            {"contacts": 3, "SMS": None, "notes": None},
            {},
            "With these leads go 3 contacts. Not counted: SMS, notes.",
        ),
    ],
)
def test_it_says_what_there_was_and_what_is_not_known(counts: dict[str, int | None], worth: dict[str, int], said: str):
    shown = {**dict.fromkeys(KINDS, 0), **counts}
    found = in_words({kind: number for kind, number in shown.items() if number is not None}, worth)

    assert found.sentence() == said


def test_after_they_have_gone_it_says_went():
    """The numbers are those of the plan: what Close deleted in the end, it doesn't say."""
    assert Cascade(known=("1 contact",)).sentence(gone=True) == (
        "With these leads went 1 contact, as counted when they were planned."
    )
    assert Cascade().sentence(gone=True) == "With these leads went nothing that was counted."
