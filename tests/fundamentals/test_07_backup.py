"""Before it deletes leads, a run exports them with all that belongs to them, and counts and reads back what it stored.

Without a backup that holds every planned lead, nothing is deleted. A run can be told to do without one.
"""

from datetime import timedelta
from pathlib import Path

import pytest
from support.cleanups import RunCleanup
from support.close_account import CloseAccount, lead

from tasks.backup.archive import Archive
from tasks.report.page import report_page

pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def backups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which backups go; a bucket would do as well."""
    monkeypatch.setenv("CLOSE_BACKUP_URL", str(tmp_path / "backups"))
    return tmp_path / "backups"


def test_what_is_deleted_is_in_the_backup_first(sandbox: CloseAccount, run_cleanup: RunCleanup) -> None:
    """Whole leads, with what hangs on them; a manifest that vouches for them; and the report says until when."""
    gone, also, _ = sandbox.add(
        lead("A", "Junk", contacts=[{"name": "Ann"}], activities=[{"_type": "Note", "note": "hm"}]),
        lead("B", "Junk"),
        lead("C"),
    )

    report = run_cleanup(match={"status": ["Junk"]}, dry_run=False).report

    archive = Archive.at(report.backup)
    manifest = archive.manifest
    leads = {each["id"]: each for each in archive.leads()}
    archive.verify()
    assert report.outcome == "deleted"
    assert set(leads) == {gone, also}
    assert leads[gone]["contacts"][0]["name"] == "Ann"
    assert leads[gone]["activities"][0]["note"] == "hm"
    assert (manifest.leads, manifest.flow_run_id, manifest.digest) == (2, report.flow_run_id, report.digest)
    assert (manifest.organization_id, manifest.s_query) == (report.organization_id, report.s_query)
    assert manifest.keep_until - manifest.made_at == timedelta(days=30)
    assert f"The backup of 2 leads stays until {manifest.keep_until:%Y-%m-%d}." in report.message
    assert sandbox.writes() == ["POST /export/lead/", "POST /bulk_action/delete/"]


def test_without_a_backup_nothing_is_deleted(sandbox: CloseAccount, run_cleanup: RunCleanup, backups: Path) -> None:
    """Here the key's user may not export. No half of a backup is left behind either."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", "/export/", "status", status=403)

    report = run_cleanup(match={"status": ["Junk"]}, dry_run=False).report

    assert "The API key's user may not export leads" in report.message
    assert (report.outcome, len(sandbox.leads())) == ("refused", 2)
    assert sandbox.posts("/bulk_action/delete/") == []
    assert [each for each in backups.rglob("*") if each.is_file()] == []


def test_a_dry_run_takes_no_backup(sandbox: CloseAccount, run_cleanup: RunCleanup, backups: Path) -> None:
    """It deletes nothing, so there is nothing to keep."""
    sandbox.add(lead("A", "Junk"), lead("B"))

    report = run_cleanup(match={"status": ["Junk"]}).report

    assert (report.outcome, report.backup, sandbox.writes()) == ("dry_run", None, [])
    assert list(backups.glob("*/*")) == []


def test_a_run_may_do_without_and_its_report_says_so(
    sandbox: CloseAccount, run_cleanup: RunCleanup, backups: Path
) -> None:
    """Then what it deletes can't be restored."""
    sandbox.add(lead("A", "Junk"), lead("B"))

    report = run_cleanup(match={"status": ["Junk"]}, dry_run=False, backup=False).report

    assert (report.outcome, report.backup) == ("deleted", None)
    assert "There is no backup of the deleted leads" in report_page(report)
    assert sandbox.writes() == ["POST /bulk_action/delete/"]
    assert list(backups.glob("*/*")) == []
