"""A restore that is killed, loses answers or meets a full disk goes on where it was, and makes nothing twice."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from restore.backups import BackUp, delete, export, field_by_field, rich, write
from support.close_account import ADMIN, CloseAccount, lead
from support.fake_clock import FakeClock

from tasks.backup.archive import Archive
from tasks.backup.lock import locked
from tasks.restore.journal import NAME, Entry, Journal

pytestmark = pytest.mark.server

Restore = Callable[..., Any]
CHECKOUT = Path(__file__).parents[2]
MORE = pytest.mark.exhaustive
ENDPOINTS = [
    *("/lead/", "/opportunity/", "/task/"),
    *("/activity/note/", "/activity/call/", "/activity/sms/"),
]


@contextmanager
def restoring(backup: Path, sandbox: CloseAccount, prefect: str, **process: Any) -> Generator["subprocess.Popen[str]"]:
    """``lead-cleanup restore`` in a process of its own."""
    settings = {"CLOSE_API_URL": sandbox.url, "CLOSE_API_KEY": ADMIN, "PREFECT_API_URL": prefect}
    with subprocess.Popen(
        [sys.executable, "-m", "flows", "restore", str(backup), "--no-dry-run", "--json"],
        cwd=CHECKOUT,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **process,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def kill_while_an_answer_is_late(path: str, after: int, sandbox: CloseAccount, backup: Path, prefect: str) -> None:
    """kill -9 in the middle of the POST to *path* that comes after *after* others: Close makes it, nobody notes it."""
    sandbox.clear_faults()
    sandbox.fault("POST", path, "delay", after=after, seconds=8)
    before = len(_intended(backup, path))
    with restoring(backup, sandbox, prefect) as process:
        while len(_intended(backup, path)) <= before + after:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        time.sleep(1)  # by now the request is there, and its answer is waited for
        assert _journal(backup)[-1] == _intended(backup, path)[-1]
        process.kill()
        process.wait()


def _intended(backup: Path, path: str) -> list[dict[str, Any]]:
    kind = path.split("/")[-2]
    return [each for each in _journal(backup) if (each["step"], each["kind"]) == ("intended", kind)]


def _journal(backup: Path) -> list[dict[str, Any]]:
    """Its whole lines: the last one may be half there, as the restore is writing it."""
    file = backup / NAME
    whole = file.read_text().rpartition("\n")[0] if file.exists() else ""
    return [json.loads(line) for line in whole.splitlines() if line]


@pytest.mark.system
@pytest.mark.parametrize("leads", [40, pytest.param(1000, marks=pytest.mark.exhaustive)])
def test_a_restore_that_is_killed_twice_goes_on_and_makes_nothing_twice(
    leads: int, sandbox: CloseAccount, back_up: BackUp, prefect_server: str
) -> None:
    """With kill -9, once while a lead is made and once while a note of one is; the rest is the same field by field."""
    sandbox.reset(leads=leads)
    sandbox.add(*(rich(name) for name in ("Acme", "Acme", "Borg")))
    before = export(sandbox)
    backup = back_up()
    delete(sandbox)

    kill_while_an_answer_is_late("/lead/", leads // 2, sandbox, backup, prefect_server)
    assert len(sandbox.leads()) == leads // 2 + 1
    kill_while_an_answer_is_late("/activity/note/", 3, sandbox, backup, prefect_server)
    sandbox.clear_faults()
    with restoring(backup, sandbox, prefect_server) as process:
        out, err = process.communicate(timeout=120)

    report = json.loads(out)
    assert (process.returncode, report["outcome"], report["adopted"]) == (0, "restored", 1), err
    assert field_by_field(export(sandbox)) == field_by_field(before)


@pytest.fixture
def lost(sandbox: CloseAccount, back_up: BackUp) -> tuple[Path, list[str]]:
    """A backup of two leads of one name that are gone, and what they were."""
    sandbox.add(rich("Acme"), rich("Acme"))
    before = field_by_field(export(sandbox))
    backup = back_up()
    delete(sandbox)
    sandbox.forget_requests()
    return backup, before


@pytest.mark.parametrize("path", [ENDPOINTS[0], *(pytest.param(each, marks=MORE) for each in ENDPOINTS[1:])])
@pytest.mark.parametrize(
    ("fault", "posts_more"),
    [
        ("drop_after", 0),
        pytest.param("garbage", 0, marks=MORE),
        pytest.param("truncate", 0, marks=MORE),
        ("drop_before", 1),
    ],
)
def test_after_an_answer_that_is_lost_close_is_looked_at_before_anything_is_sent_again(
    path: str,
    fault: str,
    posts_more: int,
    sandbox: CloseAccount,
    lost: tuple[Path, list[str]],
    restore: Restore,
    fake_clock: FakeClock,
) -> None:
    """What had its effect is found; what had none is sent again, but not before five minutes are over."""
    backup, before = lost
    began = fake_clock()
    sandbox.fault("POST", path, fault, after=1)

    report = restore(backup, dry_run=False)

    assert report.outcome == "restored"
    assert (report.adopted, fake_clock() - began > 300) == (1 - posts_more, posts_more == 1)
    expected = sum(each["kind"] == path.split("/")[-2] and each["step"] == "created" for each in _journal(backup))
    assert sandbox.writes().count(f"POST {path}") == expected + posts_more
    assert field_by_field(export(sandbox)) == before


@pytest.mark.parametrize("path", ["/lead/", pytest.param("/activity/note/", marks=MORE)])
def test_what_takes_effect_after_its_answer_was_given_up_is_found(
    path: str, sandbox: CloseAccount, lost: tuple[Path, list[str]], restore: Restore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOSE_TIMEOUT", "0.5")
    backup, before = lost
    sandbox.fault("POST", path, "delay", before=True, seconds=1.2)

    report = restore(backup, dry_run=False)

    assert (report.outcome, report.adopted) == ("restored", 1)
    assert field_by_field(export(sandbox)) == before


def test_what_was_intended_but_never_sent_is_made_once_close_would_show_it(
    sandbox: CloseAccount, lost: tuple[Path, list[str]], restore: Restore, fake_clock: FakeClock
) -> None:
    """A restore was killed between its journal and its POST."""
    backup, before = lost
    ids = _lead_ids(backup)
    _write(backup, Entry(lead=ids[0], kind="lead", old=ids[0], step="intended", by=sandbox.get("/me/")["id"]))
    began = fake_clock()

    report = restore(backup, dry_run=False)

    assert report.outcome == "restored"
    assert fake_clock() - began > 250
    assert field_by_field(export(sandbox)) == before


def test_nothing_is_guessed_when_close_no_longer_knows_what_was_created(
    sandbox: CloseAccount, lost: tuple[Path, list[str]], restore: Restore
) -> None:
    backup, _ = lost
    ids = _lead_ids(backup)
    long_ago = datetime.now(UTC) - timedelta(days=40)
    _write(backup, Entry(at=long_ago, lead=ids[0], kind="lead", old=ids[0], step="intended", by="user_x"))

    report = restore(backup, dry_run=False)

    assert report.outcome == "unknown"
    assert ids[0] in report.message
    assert sandbox.leads() == {}


def _lead_ids(backup: Path) -> list[str]:
    return [each["id"] for each in Archive.at(str(backup)).leads()]


def _write(backup: Path, *entries: Entry) -> None:
    journal = Journal(Archive.at(str(backup)))
    with journal.opened(lambda: None):
        for each in entries:
            journal.write(each)


def test_a_line_that_was_cut_off_is_found_out_in_close(
    sandbox: CloseAccount, lost: tuple[Path, list[str]], restore: Restore
) -> None:
    """Killed while the journal's second line was written: half of it is there."""
    backup, before = lost
    sandbox.fault("POST", "/opportunity/", "status", status=401, after=1)
    assert restore(backup, dry_run=False).outcome == "failed"
    journal = (backup / NAME).read_text().rstrip("\n")
    lines = journal.splitlines()
    assert json.loads(lines[-3])["step"] == "created"
    (backup / NAME).write_text("\n".join(lines[:-3]) + "\n" + lines[-3][:40])

    report = restore(backup, dry_run=False)

    assert (report.outcome, report.adopted) == ("restored", 1)
    assert field_by_field(export(sandbox)) == before


@pytest.mark.parametrize("storage", ["memory", pytest.param("file", marks=MORE)])
def test_a_restore_that_close_stops_goes_on_in_any_storage(
    storage: str, sandbox: CloseAccount, lost: tuple[Path, list[str]], restore: Restore
) -> None:
    """Elsewhere nothing can be appended, and the journal is an object for each lead."""
    backup, before = lost
    archive = Archive.at(str(backup))
    url = str(backup)
    if storage == "memory":
        url = f"memory://backups/{uuid4()}"
        organization_id = archive.manifest.organization_id
        write(Archive.at(url), [*archive.leads()], organization_id, archive.manifest.flow_run_id)
    for path, after in (("/activity/call/", 1), ("/lead/", 0), ("/task/", 0)):
        sandbox.fault("POST", path, "status", status=403, after=after)
        stopped = restore(url, dry_run=False)
        assert (stopped.outcome, "Run the restore again" in stopped.message) == ("failed", True) or path == "/lead/"

    report = restore(url, dry_run=False)

    assert report.outcome == "restored"
    assert field_by_field(export(sandbox)) == before
    assert len(sandbox.leads()) == 2
    again = restore(url, dry_run=False)
    assert (again.outcome, again.restored_before) == ("nothing_to_do", 2)


def test_what_close_rejects_is_counted_and_tried_again_by_the_next_run(
    sandbox: CloseAccount, lost: tuple[Path, list[str]], restore: Restore
) -> None:
    backup, before = lost
    sandbox.fault("POST", "/activity/note/", "status", status=400, after=1)

    report = restore(backup, dry_run=False)

    assert (report.outcome, report.rejected) == ("failed", {"note": 1})
    assert "Close rejected 1 object:" in report.message
    rejected = [each for each in _journal(backup) if each["step"] == "rejected"]
    assert [(each["kind"], each["why"]) for each in rejected] == [("note", "BadRequest (400)")]
    assert restore(backup, dry_run=False).outcome == "restored"
    assert field_by_field(export(sandbox)) == before


def test_two_restores_of_one_backup_do_not_run_at_once(
    sandbox: CloseAccount, lost: tuple[Path, list[str]], restore: Restore
) -> None:
    backup, _ = lost
    with locked(Archive.at(str(backup)), "a restore"):
        report = restore(backup, dry_run=False)

    assert report.outcome == "refused"
    assert "is in use by a run, a restore or an erasure" in report.message
    assert sandbox.writes() == []
    assert restore(backup, dry_run=False).outcome == "restored"


def test_nothing_is_made_that_cannot_be_noted(
    sandbox: CloseAccount, lost: tuple[Path, list[str]], prefect_server: str, restore: Restore
) -> None:
    """Files may not grow beyond 1,000 bytes, as on a full disk: what doesn't fit into the journal isn't sent."""
    backup, before = lost
    with restoring(backup, sandbox, prefect_server, preexec_fn=_full_disk) as process:
        out, err = process.communicate(timeout=120)

    report = json.loads(out)
    assert (process.returncode, report["outcome"]) == (1, "failed"), err
    assert "can't be written (No space left on device)" in report["message"]
    assert len(sandbox.posts("/")) <= 4
    assert restore(backup, dry_run=False).outcome == "restored"
    assert field_by_field(export(sandbox)) == before


def _full_disk() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))


def test_somebody_elses_lead_of_the_same_words_is_not_taken_for_ours(
    sandbox: CloseAccount, back_up: BackUp, restore: Restore, fake_clock: FakeClock
) -> None:
    """The answer is lost and nothing was made, while another user makes a lead of the same name."""
    sandbox.add(lead("Acme", description="old"))
    backup = back_up()
    delete(sandbox)
    sandbox.post("/lead/", name="Acme", description="new")
    sandbox.fault("POST", "/lead/", "drop_before")

    report = restore(backup, dry_run=False)

    assert (report.outcome, report.adopted, report.created["lead"]) == ("restored", 0, 1)
    assert sorted(each["description"] for each in sandbox.leads().values()) == ["new", "old"]


def test_a_lead_that_was_deleted_again_half_made_is_left_alone(
    sandbox: CloseAccount, lost: tuple[Path, list[str]], restore: Restore
) -> None:
    backup, _ = lost
    sandbox.fault("POST", "/activity/note/", "status", status=403)
    assert restore(backup, dry_run=False).outcome == "failed"
    delete(sandbox)

    report = restore(backup, dry_run=False)

    assert (report.outcome, report.deleted_since, report.created["lead"]) == ("restored", 1, 1)
    assert len(sandbox.leads()) == 1
