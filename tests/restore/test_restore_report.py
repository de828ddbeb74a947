"""The report of a restore: a contract in JSON, and sentences for a person."""

import json

from tasks.report.model import Report
from tasks.restore.report import RestoreReport, read
from tasks.runs.outcomes import Outcome

PUBLISHED = {
    "outcome": "restored",
    "message": "2 leads are restored, with everything that can come back.",
    "organization_id": "orga_1",
    "backup": "/backups/orga_1/run",
    "flow_run_id": "3f0c5b6e-8d43-4a55-9a3e-0d6f4c2b1a90",
    "wanted": {"lead": 2},
    "created": {"lead": 2},
    "adopted": 1,
    "rejected": {},
    "there": 3,
    "before": 4,
    "gone": 5,
    "missing": [],
    "lost": {"attachments": 6},
    "unlike": {"date_created of task": 7},
    "notes": ["Lost: much."],
}
"""As the first version wrote it."""


def test_what_is_read_is_written_again_under_the_same_names() -> None:
    report = read(PUBLISHED)

    assert isinstance(report, RestoreReport)
    assert report.evidence() == PUBLISHED | {"notes": ("Lost: much.",)}
    assert json.loads(report.model_dump_json()) == {name: PUBLISHED[name] for name in PUBLISHED if name != "notes"}
    assert (report.still_in_close, report.restored_before, report.deleted_since) == (3, 4, 5)


def test_the_report_of_a_cleanup_is_not_taken_for_one_of_a_restore() -> None:
    published = Report(outcome=Outcome.DELETED, message="1 lead is deleted.", planned=1).evidence()

    assert type(read(json.loads(json.dumps(published)))) is Report
