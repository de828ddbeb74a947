"""What a person sees: verdicts, counts, and customer text that does nothing."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.bulk_delete.reconcile import Log, verdict
from tasks.close.resources import BulkDelete
from tasks.plan.model import Counts, Plan
from tasks.report.escaping import escape
from tasks.report.model import Report, of_plan
from tasks.runs.outcomes import Outcome

AS_OF = datetime(2026, 3, 31, 10, 20, 30, 456000, tzinfo=UTC)
HOSTILE = "[x](javascript:alert(1)) | =HYPERLINK(\u2026)"


def plan(planned: int = 10) -> Plan:
    counts = Counts(total=1000, matched=planned + 5, kept={"status": 5, "total": 5}, planned=planned)
    return Plan.of(
        organization_id="orga_1",
        organization="Acme",
        user_id="user_1",
        as_of=AS_OF,
        s_query={"type": "id", "value": "lead_1"},
        counts=counts,
    )


def job(status: str | None, processed: int, total: int | None, **more: Any) -> BulkDelete:
    counters = {"n_leads": total, "n_leads_processed": processed, "n_objects": total, "n_objects_processed": processed}
    return BulkDelete.model_validate({"id": "bulkdelete_1", "status": status, **counters, **more})


# --- verdict ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "processed", "total", "remaining", "outcome", "said"),
    [
        ("done", 10, 10, 0, Outcome.DELETED, r"10 leads are deleted\.$"),
        (
            "done",
            7,
            7,
            0,
            Outcome.DELETED,
            "7 leads are deleted. Of the 10 planned, 3 had changed since, or were gone.",
        ),
        ("done", 0, 0, 0, Outcome.DELETED, "0 leads are deleted. Of the 10 planned, 10 had changed"),
        ("done", 10, 10, 1, Outcome.FAILED, "1 still matches"),
        ("done", 9, 10, 0, Outcome.FAILED, "deleted only 9 of the 10"),
        ("done", 11, 11, 0, Outcome.FAILED, "1 more than the 10 planned"),
        ("done", 10, None, 0, Outcome.FAILED, "not how many"),
        ("error", 10, 10, 0, Outcome.FAILED, "Close reports error after 10 of 10"),
        ("error", 3, 10, 7, Outcome.FAILED, "Close reports error after 3 of 10"),
        ("paused", 10, 10, 0, Outcome.FAILED, "Close reports paused"),
        ("complete", 10, 10, 0, Outcome.FAILED, "Close reports complete"),
        (None, 10, 10, 0, Outcome.FAILED, "Close reports None"),
    ],
)
def test_only_done_with_everything_it_counted_and_nothing_left_is_a_success(
    status: str | None, processed: int, total: int | None, remaining: int, outcome: Outcome, said: str
):
    """Elsewhere jobs were green though rows had been rejected, and an unknown status was read as the end."""
    found, message = verdict(plan(), job(status, processed, total), remaining)

    assert found is outcome
    assert re.search(said, message)


@pytest.mark.parametrize(
    ("processed", "remaining", "logged", "said"),
    [
        (10, 10, 10, "10 still match. Its event log shows that 10 are deleted, so its search lags behind: a retry"),
        (10, 1, 10, "1 still matches. Its event log shows that 10 are deleted, so its search lags behind: a retry"),
        (10, 10, 1, "10 still match. Its event log shows that 1 is deleted, so its search lags behind: a retry"),
        (7, 3, 7, "3 still match. Its search may lag behind: a retry of this run counts again."),
        (10, 10, 0, "10 still match. Its search may lag behind: a retry of this run counts again."),
        (10, 10, None, "10 still match. Its search may lag behind: a retry of this run counts again."),
    ],
)
def test_what_still_matches_may_be_a_search_that_lags(processed: int, remaining: int, logged: int | None, said: str):
    """It does if more are deleted, by the event log, than can be if those that it finds are still there."""
    log = None if logged is None else Log(logged)

    found, message = verdict(plan(), job("done", processed, processed), remaining, log)

    assert found is Outcome.FAILED
    assert said in message


@pytest.mark.parametrize(
    ("logged", "outcome", "said"),
    [
        (None, Outcome.DELETED, r"10 leads are deleted\.$"),
        (10, Outcome.DELETED, r"10 leads are deleted\.$"),
        (9, Outcome.DELETED, "event log does not show 1 of them yet"),
        (11, Outcome.FAILED, "deleted 10 leads, but its event log shows that it was 11"),
    ],
)
def test_the_event_log_is_a_witness_that_may_come_late(logged: int | None, outcome: Outcome, said: str):
    found, message = verdict(plan(), job("done", 10, 10), 0, None if logged is None else Log(logged))

    assert found is outcome
    assert re.search(said, message)


def test_a_deleted_lead_that_is_in_no_backup_is_named():
    found, message = verdict(plan(), job("done", 10, 10), 0, Log(10, not_in_backup=("lead_7",)))

    assert found is Outcome.FAILED
    assert message == "Close's event log shows 1 deleted lead that is in no backup: lead_7."


def test_of_many_deleted_leads_that_are_in_no_backup_a_few_are_named():
    _, message = verdict(plan(), job("done", 10, 10), 0, Log(10, not_in_backup=tuple("abcdefg")))

    assert message == "Close's event log shows 7 deleted leads that are in no backup: a, b, c, d, e and 2 more."


# --- the report -------------------------------------------------------------------------------------------------------

FULL = Report(
    outcome=Outcome.DELETED,
    message="10 leads are deleted.",
    **of_plan(plan()),
    bulk_delete_id="bulkdelete_1",
    processed=10,
    remaining=0,
    polls=3,
    flow_run_id="1b2c",
)


def test_the_field_names_are_a_contract():
    contract = "outcome message organization_id as_of digest s_query matched kept planned total bulk_delete_id "
    contract += "processed remaining polls over_limit backup flow_run_id"

    assert set(FULL.model_dump()) == set(contract.split())
    assert FULL.as_of == "2026-03-31T10:20:30.456Z"
    assert FULL.digest == plan().digest
    assert Report.model_validate_json(FULL.model_dump_json()) == FULL


def test_counts_go_from_all_to_what_is_left():
    assert FULL.counts() == [
        ("Leads in all", 1000),
        ("Matched", 15),
        ("Kept by status", 5),
        ("Kept", 5),
        ("Planned", 10),
        ("Deleted by Close", 10),
        ("Planned and still matching", 0),
    ]
    assert Report(outcome=Outcome.REFUSED, message="No.").counts() == []


# --- customer text ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Acme Inc.", "Acme Inc."),
        ("", ""),
        (HOSTILE, "\\[x\\]\\(javascript:alert\\(1\\)\\) \\| =HYPERLINK\\(\u2026\\)"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert\\(1\\)&lt;/script&gt;"),
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert\\(1\\)&gt;"),
        ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
        ("a\n\n# b\r\n| c |\u2028d\te", "a \\# b \\| c \\| d e"),
        ("```\ncode\n```", "\\`\\`\\` code \\`\\`\\`"),
        ("_a_ *b* ~~c~~ ![d](e)", "\\_a\\_ \\*b\\* \\~\\~c\\~\\~ \\!\\[d\\]\\(e\\)"),
        ("back\\slash", "back\\\\slash"),
        ("evil\u202etxt.exe\u2066 \u200f!", "evil txt.exe \\!"),
        ("a\x00b\x1bc", "a b c"),
        ("=1+1", "'=1\\+1"),
        ("+1", "'\\+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM\\(A1\\)"),
        ("\t=1", "'=1"),
        ("\u202e=1", "'=1"),
        ("\u05d0\u05d1\u05d2", "\u05d0\u05d1\u05d2"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
    ],
)
def test_customer_text_does_nothing(text: str, shown: str):
    """Leads come from web forms: a name can be a link, a formula, a table, or a text that reads backwards."""
    assert escape(text) == shown
