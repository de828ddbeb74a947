"""Leads come back with everything that can come back, and nothing twice."""

from collections.abc import Callable
from typing import Any

import pytest
from close_account import CloseAccount, lead
from restore.backups import BackUp, delete, export, field_by_field, rich

pytestmark = pytest.mark.server

Restore = Callable[..., Any]


@pytest.mark.parametrize("leads", [60, pytest.param(1000, marks=pytest.mark.exhaustive)])
def test_leads_that_are_deleted_and_restored_are_the_same_field_by_field(
    leads: int, sandbox: CloseAccount, back_up: BackUp, restore: Restore
) -> None:
    """But for what is named as lost: see LOST in backups.py, and in the report."""
    sandbox.reset(leads=leads)
    sandbox.add(rich("Acme"), rich("Acme"), lead("", contacts=[{"name": "Only"}]))
    before = export(sandbox)
    backup = back_up()
    delete(sandbox)
    assert sandbox.leads() == {}

    report = restore(backup, dry_run=False)

    assert (report.outcome, report.message) == (
        "restored",
        f"{leads + 3:,} leads are restored, with everything that can come back.",
    )
    after = export(sandbox)
    assert len(after) == leads + 3
    assert field_by_field(after) == field_by_field(before)
    assert not {each["id"] for each in after} & {each["id"] for each in before}
