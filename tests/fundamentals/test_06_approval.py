"""A cleanup may ask a person first: its run waits, without deleting anything, until somebody types how many leads go.

The number is asked for, rather than a yes, so that the person who answers has looked. It approves the plan that was
shown. By what changes meanwhile the plan may get smaller, but never larger.
"""

import logging

import pytest
from support.approvals import Ask
from support.close_account import CloseAccount, lead
from support.terminal_session import Command

from tasks.ledger import store as ledger
from tasks.report.page import report_page

pytestmark = pytest.mark.server


@pytest.fixture
def close(sandbox: CloseAccount) -> CloseAccount:
    """Two leads to delete among four."""
    sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"), lead("D"))
    return sandbox


def test_nothing_is_deleted_until_somebody_types_the_number_of_leads(
    close: CloseAccount, ask: Ask, lead_cleanup: Command, caplog: pytest.LogCaptureFixture
) -> None:
    """In the form of the Prefect UI, or at the command line as here. The report and the record keep who it was."""
    caplog.set_level(logging.INFO, "tasks.approval")
    asked = ask()
    before = close.writes()

    lead_cleanup("approve", str(asked.id), "--leads", "2", "--by", "Ann", "--note", "As agreed on Monday.")
    report = asked.goes_on()

    record = ledger.read(asked.id)
    assert before == []
    short = str(asked.id)[:8]
    assert (
        f"Waits for approval: 2 leads. Resume on this page, or `lead-cleanup approve {short}`, answers." in caplog.text
    )
    assert (report.outcome, report.processed) == ("deleted", 2)
    assert report.approved
    assert (report.approved.leads, report.approved.by, report.approved.note) == (2, "Ann", "As agreed on Monday.")
    assert record
    assert record.approved == report.approved
    assert "2 leads, approved by Ann" in report_page(report)


def test_a_wrong_number_declines_the_run_and_nothing_is_deleted(close: CloseAccount, ask: Ask) -> None:
    """A person who types another number has seen another plan, or none."""
    asked = ask()

    asked.answer(3)
    report = asked.goes_on()

    assert (report.outcome, report.message) == ("declined", "Ann answered 3, but the plan had 2 leads.")
    assert asked.state == "Declined"
    assert close.writes() == []


def test_leads_that_were_edited_meanwhile_are_spared(close: CloseAccount, ask: Ask) -> None:
    """The query leaves out what has changed since the run began. One lead fewer needs no new approval."""
    asked = ask()
    edited = next(iter(close.leads()))
    close.put(f"/lead/{edited}/", description="call her")

    asked.answer(2)
    report = asked.goes_on()

    assert (report.outcome, report.planned, report.processed) == ("deleted", 1, 1)
    assert edited in close.leads()


def test_a_plan_that_grew_needs_a_new_approval(close: CloseAccount, ask: Ask) -> None:
    """As when a lead loses its protection, which may happen without an edit."""
    asked = ask()
    close.add(lead("E", "Junk"))

    asked.answer(2)
    assert asked.waits()
    assert close.writes() == []
    asked.answer(3)

    assert asked.goes_on().processed == 3
