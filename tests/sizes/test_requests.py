"""How often a plan asks Close doesn't depend on how many leads there are."""

from collections.abc import Callable
from typing import Any

import pytest
from support.close_account import CloseAccount

pytestmark = pytest.mark.server


def test_a_plan_for_many_leads_asks_no_more_than_a_plan_for_few(
    sandbox: CloseAccount, run_cleanup: Callable[..., Any]
) -> None:
    asked: list[list[tuple[str, str]]] = []
    for leads in (200, 5_000):
        sandbox.reset(leads=leads)
        report = run_cleanup(
            match={"status": ["Junk"]}, limits={"max_leads": 100_000, "max_share": 0.5, "ramp": False}
        ).report
        asked.append([(each["method"], each["path"]) for each in sandbox.requests()])
        assert (report.outcome, report.planned > leads / 50) == ("dry_run", True)

    assert asked[0] == asked[1]
    assert len(asked[1]) < 30
