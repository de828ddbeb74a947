"""What goes with the leads of a plan, as a sentence."""

import pytest

from tasks.plan.cascade import KINDS, sentence


@pytest.mark.parametrize(
    ("counts", "worth", "said"),
    [
        (
            {"contacts": 1234, "open opportunities": 2, "lost opportunities": 0, "calls": 7},
            {"USD a year": 1_000_000, "EUR once": 250_000},
            "When they were planned, these leads had 1,234 contacts, 2 open opportunities (worth 2,500 EUR once, "
            "10,000 USD a year), 7 calls, which Close deletes with them.",
        ),
        (
            {"contacts": 1, "open tasks": 2, "SMS": 1, "meetings": 1},
            {},
            "When they were planned, these leads had 1 contact, open tasks (on 2 leads), 1 meeting, 1 SMS, which Close "
            "deletes with them.",
        ),
        ({"contacts": 0, "calls": 0}, {}, "When they were planned, these leads had nothing that was counted."),
        (
            {"contacts": 3, "SMS": None, "notes": None},
            {},
            "When they were planned, these leads had 3 contacts, which Close deletes with them. Not counted: SMS, "
            "notes.",
        ),
    ],
)
def test_it_says_what_there_was_and_what_is_not_known(counts: dict[str, int | None], worth: dict[str, int], said: str):
    """It stands in the plan, and in the report after they have gone."""
    shown = {**dict.fromkeys(KINDS, 0), **counts}
    assert sentence({kind: number for kind, number in shown.items() if number is not None}, worth) == said
