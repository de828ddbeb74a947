"""Leads come back with everything that can come back, and nothing twice."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from restore.backups import BackUp, delete, export, field_by_field, rich
from support.close_account import CloseAccount, lead

from tasks.report.artifacts import artifacts_of

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
        f"Restored {leads + 3:,} leads, with everything that can come back.",
    )
    after = export(sandbox)
    assert len(after) == leads + 3
    assert field_by_field(after) == field_by_field(before)
    assert not {each["id"] for each in after} & {each["id"] for each in before}


def test_it_goes_at_the_rate_that_close_allows(sandbox: CloseAccount, back_up: BackUp, restore: Restore) -> None:
    """Twelve requests a second of each kind; whoever asks for more gets 429."""
    sandbox.add(*(lead(str(n), activities=[{"_type": "Note", "note": "n"}]) for n in range(20)))
    backup = back_up()
    delete(sandbox)
    sandbox.forget_requests()
    httpx.post(f"{sandbox.base}/sandbox/limits", json={"enabled": True, "scale": 0.05, "window_seconds": 1})

    report = restore(backup, dry_run=False)

    httpx.post(f"{sandbox.base}/sandbox/limits", json={"enabled": False})
    refused = [each for each in sandbox.requests() if each["status"] == 429]
    assert (report.outcome, len(sandbox.leads())) == ("restored", 20)
    assert len(refused) <= 2  # the sandbox counts reads and writes of leads as one kind, the client as two


def test_the_report_is_kept_as_an_artifact_without_names(
    sandbox: CloseAccount, back_up: BackUp, restore: Restore
) -> None:
    sandbox.add(rich("Acme"))
    backup = back_up()
    delete(sandbox)

    report = restore(backup, dry_run=False)

    found = {each.key: str(each.data) for each in artifacts_of(UUID(report.flow_run_id))}
    name = "lead-cleanup-sandbox-inc-restore"
    assert set(found) == {name, f"{name}-counts"}
    assert "e-mail threads" in found[name]
    assert "Opportunities" in found[f"{name}-counts"]
    assert "Acme" not in str(found)
    assert "Ann Other" not in str(found)
