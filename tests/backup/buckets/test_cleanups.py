"""The whole way through a bucket: backed up, deleted, verified, restored; and stopped where the bucket fails."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from backup.buckets.conftest import Call
from backup.buckets.local_s3 import LocalS3
from restore.backups import export, field_by_field, rich
from support.close_account import CloseAccount, lead

pytestmark = [
    pytest.mark.server,
    pytest.mark.system,
    pytest.mark.xdist_group("bucket"),
    pytest.mark.usefixtures("fake_clock"),
]

Run = Callable[..., Any]
BAD_FIT: dict[str, Any] = {
    "match": {"status": ["Bad Fit"]},
    "keep": {"open_opportunities": False, "won_opportunities": False},
    "dry_run": False,
}
MORE = pytest.mark.exhaustive


@pytest.fixture
def restore(prefect_server: str) -> Callable[..., Any]:
    """Runs the flow in this process, and gives its report."""
    from flows.restore_leads import restore_leads
    from tasks.report.ending import report_of

    def run(backup: str, **parameters: Any) -> Any:
        return report_of(restore_leads(backup, **parameters, return_state=True))

    return run


def bad_fits(sandbox: CloseAccount) -> list[str]:
    """What Close has of those leads that a cleanup deletes."""
    return field_by_field([each for each in export(sandbox) if each["name"] in {"Acme", "Beta"}])


def names(s3: LocalS3) -> list[str]:
    """The names of objects, without the folder of the run and what is random."""
    return [name.split("/", 3)[3].split("-")[0] for name in sorted(s3.objects())]


def test_leads_come_back_from_a_bucket_once(
    sandbox: CloseAccount, s3: LocalS3, run_cleanup: Run, restore: Run, lead_cleanup: Call
) -> None:
    sandbox.add(rich("Acme"), rich("Beta"), *(lead(name) for name in "CDE"))
    before = bad_fits(sandbox)

    deleted = run_cleanup(**BAD_FIT).report
    url, run = deleted.backup, deleted.flow_run_id

    assert (deleted.outcome, url) == ("deleted", f"s3://backups/close/{deleted.organization_id}/{run}"), deleted.message
    assert names(s3) == ["leads", "manifest.json", "report.json"]
    report = json.loads(s3.objects()[f"{url.removeprefix('s3://backups/')}/report.json"])
    assert (report["outcome"], report["planned"]) == ("deleted", 2)
    code, out, _ = lead_cleanup("backups", run, "--verify")
    assert (code, out.splitlines()[1].split()[-2:]) == (0, ["2", "yes"])

    restored = restore(run, dry_run=False)
    again = restore(url, dry_run=False)

    assert (restored.outcome, again.outcome) == ("restored", "nothing_to_do")
    assert bad_fits(sandbox) == before
    assert len(sandbox.leads()) == 5


@pytest.mark.parametrize(
    ("request_", "bucket", "sentence"),
    [
        ("PUT .*/leads", "backups", "(PermissionError: Access Denied)"),
        pytest.param("PUT .*/manifest", "backups", "(PermissionError: Access Denied)", marks=MORE),
        pytest.param("GET .*/leads", "backups", "can't be read to its end", marks=MORE),
        pytest.param("no", "bakcups", "The specified bucket does not exist", marks=MORE),
    ],
)
def test_a_bucket_that_fails_stops_the_run(
    sandbox: CloseAccount,
    s3: LocalS3,
    run_cleanup: Run,
    monkeypatch: pytest.MonkeyPatch,
    request_: str,
    bucket: str,
    sentence: str,
) -> None:
    sandbox.add(lead("A", "Bad Fit"), *(lead(name) for name in "CDE"))
    monkeypatch.setenv("CLOSE_BACKUP_URL", f"s3://{bucket}/close")
    s3.refuse(request_)

    report = run_cleanup(**BAD_FIT).report

    assert (report.outcome, report.backup) == ("refused", None)
    assert sentence in report.message
    assert sandbox.posts("/bulk_action/delete/") == []
    assert "manifest.json" not in names(s3)


@MORE
@pytest.mark.parametrize(
    ("request_", "sentence"),
    [("PUT .*/restore/", "can't be written (Access Denied)"), ("(GET|HEAD) .*restore", "can't be read: Forbidden")],
)
def test_nothing_is_made_that_a_bucket_does_not_note(
    sandbox: CloseAccount, s3: LocalS3, run_cleanup: Run, restore: Run, request_: str, sentence: str
) -> None:
    sandbox.add(rich("Acme"), *(lead(name) for name in "CDE"))
    url = run_cleanup(**BAD_FIT).report.backup
    writes = len(sandbox.writes())
    s3.refuse(request_)

    stopped = restore(url, dry_run=False)

    assert f"The journal of the restore in {url} {sentence}" in stopped.message
    assert len(sandbox.writes()) == writes
    s3.allow()
    assert restore(url, dry_run=False).outcome == "restored"


@MORE
def test_a_restore_that_is_cut_off_goes_on_by_what_the_bucket_has_noted(
    sandbox: CloseAccount, s3: LocalS3, run_cleanup: Run, restore: Run
) -> None:
    sandbox.add(rich("Acme"), rich("Beta"), *(lead(name) for name in "CDE"))
    before = bad_fits(sandbox)
    url = run_cleanup(**BAD_FIT).report.backup
    sandbox.fault("POST", "/activity/call/", "status", status=403, after=1)

    stopped = restore(url, dry_run=False)
    restored = restore(url, dry_run=False)

    assert (stopped.outcome, restored.outcome) == ("failed", "restored")
    assert bad_fits(sandbox) == before
    assert len(sandbox.leads()) == 5
