"""What goes with the leads of a plan, as a sentence."""

import pytest

from tasks.plan.cascade import sentence


@pytest.mark.parametrize(
    ("counts", "worth", "said"),
    [
        (
            {"contacts": 1234, "open opportunities": 2, "lost opportunities": 0, "calls": 7},
            {"USD a year": 1_000_000, "EUR once": 250_000},
            "With these leads go 1,234 contacts, 2 open opportunities (worth 2,500 EUR once, 10,000 USD a year), "
            "7 calls.",
        ),
        ({"contacts": 0, "calls": 0}, {}, "Nothing that was counted goes with these leads."),
        (
            {"contacts": 3, "SMS": None, "notes": None},
            {},
            "With these leads go 3 contacts. Close does not count their SMS, notes here.",
        ),
    ],
)
def test_it_says_what_there_is_and_what_is_not_known(counts: dict[str, int | None], worth: dict[str, int], said: str):
    assert sentence(counts, worth) == said
