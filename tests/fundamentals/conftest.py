"""What these tests share: nobody waits, and no earlier test has left anything open."""

import pytest
from support.fake_clock import FakeClock


@pytest.fixture(autouse=True)
def nobody_waits(fake_clock: FakeClock, empty_ledger: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours pass in no time, also those seconds in which Prefect might still report a crash."""
    monkeypatch.setattr("tasks.bulk_delete.resume.CRASH_IS_REPORTED_WITHIN", 0.0)
