"""What a restore would do is shown first; a backup or an organisation that doesn't fit is refused before any write."""

import gzip
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from restore.backups import BackUp, delete, export, rich
from support.close_account import OTHER, CloseAccount, lead

from deployments.sandbox.organization import MANAGERS, SCORE_ID, STATUS_IDS
from tasks.backup.archive import LEADS, MANIFEST

pytestmark = pytest.mark.server

Restore = Callable[..., Any]


@pytest.fixture
def backup(sandbox: CloseAccount, back_up: BackUp) -> Path:
    """Of one lead with everything, which is gone."""
    sandbox.add(rich("Acme"))
    folder = back_up()
    delete(sandbox)
    sandbox.forget_requests()
    return folder


MORE = pytest.mark.exhaustive


def test_a_dry_run_counts_what_would_be_made_and_writes_nothing(
    sandbox: CloseAccount, backup: Path, restore: Restore
) -> None:
    before = sorted(each.name for each in backup.iterdir())

    report = restore(backup)

    assert (report.outcome, report.message) == ("dry_run", "1 lead would be restored.")
    assert report.wanted == {"lead": 1, "contact": 2, "opportunity": 3, "task": 1, "note": 2, "call": 2, "sms": 2}
    assert any("e-mail threads" in note for note in report.notes)
    assert sandbox.writes() == []
    assert sorted(each.name for each in backup.iterdir()) == before


def test_a_backup_is_found_by_the_run_that_made_it(sandbox: CloseAccount, backup: Path, restore: Restore) -> None:
    report = restore(backup.name)

    assert (report.outcome, report.backup) == ("dry_run", str(backup))


def _truncate(backup: Path) -> None:
    (backup / LEADS).write_bytes((backup / LEADS).read_bytes()[:-20])


def _edit(backup: Path) -> None:
    leads = gzip.decompress((backup / LEADS).read_bytes()).replace(b"Acme", b"Evil")
    (backup / LEADS).write_bytes(gzip.compress(leads))


def _lose(backup: Path) -> None:
    (backup / LEADS).unlink()


def _manifest(**changes: Any) -> Callable[[Path], None]:
    def change(backup: Path) -> None:
        manifest = json.loads((backup / MANIFEST).read_text())
        (backup / MANIFEST).write_text(json.dumps({**manifest, **changes}))

    return change


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        pytest.param(_truncate, "cut off or changed", id="truncated"),
        pytest.param(_edit, "cut off or changed", id="edited", marks=MORE),
        pytest.param(_lose, "can't be read", id="lost", marks=MORE),
        pytest.param(_manifest(version=99), "newer version", id="newer"),
        pytest.param(_manifest(leads=2), "has 1 lead, not the 2", id="fewer leads than it says", marks=MORE),
        pytest.param(_manifest(organization_id="orga_else"), "is a backup of orga_else", id="of another organisation"),
    ],
)
def test_a_backup_that_is_not_whole_or_not_ours_is_refused_in_one_sentence(
    damage: Callable[[Path], None], sentence: str, sandbox: CloseAccount, backup: Path, restore: Restore
) -> None:
    damage(backup)

    report = restore(backup, dry_run=False)

    assert (report.outcome, report.headline) == ("refused", "Refused: nothing was restored")
    assert sentence in report.message
    assert sandbox.writes() == []


def test_another_organisations_key_is_refused(
    sandbox: CloseAccount, backup: Path, restore: Restore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOSE_API_KEY", OTHER)

    assert "is a backup of" in restore(backup, dry_run=False).message
    for text in (backup.name, backup.name[:8]):
        said = f"The backup of run {text} is of {backup.parent.name}, and the API key is of orga_"
        assert said in restore(text).message


def test_a_backup_is_named_by_the_beginning_of_its_runs_id(
    sandbox: CloseAccount, backup: Path, restore: Restore
) -> None:
    """Given whole, it is found without listing the others."""
    for text in (backup.name, backup.name[:8]):
        assert restore(text).outcome == "dry_run"
    for text in ("00000000", "00000000-0000-4000-8000-000000000000"):
        said = restore(text).message
        assert f"There is no backup of run {text} at " in said
        assert "CLOSE_BACKUP_URL says where backups are; the run's report names the address of its own." in said


def test_a_folder_that_is_no_backup_is_refused(sandbox: CloseAccount, restore: Restore, tmp_path: Path) -> None:
    assert "is no backup" in restore(tmp_path).message


GONE = {
    "lead status": ({"status_id": "stat_gone", "status_label": "Once"}, "No lead status Once (stat_gone)"),
    "custom field": ({"custom.cf_gone": "x"}, "No custom field of leads cf_gone"),
    "user": ({"opportunities": [{"user_id": "user_gone", "user_name": "Old Hand"}]}, "No user Old Hand (user_gone)"),
    "opportunity status": (
        {"opportunities": [{"status_id": "stat_gone", "status_label": "Maybe"}]},
        "No opportunity status Maybe (stat_gone)",
    ),
    "field of contacts": ({"contacts": [{"name": "Ann", "custom.cf_gone": 1}]}, "No custom field of contacts cf_gone"),
}


FEW: dict[str, Any] = {"lead status": (), "user": ()}  # for `make test`


@pytest.fixture
def backup_of_what_is_gone(request: pytest.FixtureRequest, sandbox: CloseAccount, back_up: BackUp) -> Path:
    """Of a lead that names what the organisation has no more, as Close showed it while it had it."""
    sandbox.add(lead("Acme", opportunities=[{"note": "o"}], contacts=[{"name": "Ann"}]))
    folder = back_up()
    delete(sandbox)
    sandbox.forget_requests()
    found = json.loads(gzip.decompress((folder / LEADS).read_bytes()))
    for key, value in request.param.items():
        found[key] = [{**found[key][0], **value[0]}] if isinstance(value, list) else value
    (folder / LEADS).write_bytes(gzip.compress(json.dumps(found).encode() + b"\n"))
    _manifest(sha256=hashlib.sha256((folder / LEADS).read_bytes()).hexdigest())(folder)
    return folder


@pytest.mark.parametrize(
    ("backup_of_what_is_gone", "sentence"),
    [
        pytest.param(*each, id=name, marks=() if name in {"lead status", "user"} else MORE)
        for name, each in GONE.items()
    ],
    indirect=["backup_of_what_is_gone"],
)
def test_what_the_organisation_lacks_stops_a_restore_or_is_left_out(
    backup_of_what_is_gone: Path, sentence: str, sandbox: CloseAccount, restore: Restore
) -> None:
    for dry_run in (True, False):
        refused = restore(backup_of_what_is_gone, dry_run=dry_run)
        assert (refused.outcome, len(refused.missing)) == ("refused", 1)
        assert sentence in refused.message
        assert "missing: skip" in refused.message
    assert sandbox.writes() == []

    assert restore(backup_of_what_is_gone, missing="skip").outcome == "dry_run"
    assert restore(backup_of_what_is_gone, missing="skip", dry_run=False).outcome == "restored"
    assert len(sandbox.leads()) == 1


@pytest.mark.parametrize("backup_of_what_is_gone", [GONE["lead status"][0]], indirect=True)
def test_something_else_can_stand_for_what_is_missing(
    backup_of_what_is_gone: Path, sandbox: CloseAccount, restore: Restore
) -> None:
    junk = STATUS_IDS["Junk"]

    wrong = restore(backup_of_what_is_gone, instead={"stat_gone": "stat_none"})
    mistyped = restore(backup_of_what_is_gone, instead={"stat_gnoe": junk}, missing="skip")
    right = restore(backup_of_what_is_gone, instead={"stat_gone": junk}, dry_run=False)

    assert (wrong.outcome, "No lead status stat_none" in wrong.message) == ("refused", True)
    assert f"Every lead status: {next(iter(STATUS_IDS.values()))} (" in wrong.message
    assert (mistyped.outcome, "names stat_gnoe: correct" in mistyped.message) == ("refused", True)
    assert right.outcome == "restored"
    [found] = sandbox.leads().values()
    assert found["status_id"] == junk


def test_leads_that_are_still_there_are_passed_over(sandbox: CloseAccount, back_up: BackUp, restore: Restore) -> None:
    kept, gone = sandbox.add(lead("Kept"), lead("Gone"))
    folder = back_up()
    delete(sandbox, gone)

    report = restore(folder, dry_run=False)

    assert (report.outcome, report.still_in_close, report.created["lead"]) == ("restored", 1, 1)
    assert sorted(each["name"] for each in sandbox.leads().values()) == ["Gone", "Kept"]
    assert kept in sandbox.leads()
    assert restore(folder, dry_run=False).outcome == "nothing_to_do"


def test_a_dry_run_asks_the_event_log_and_not_for_each_lead(
    sandbox: CloseAccount, back_up: BackUp, restore: Restore
) -> None:
    sandbox.add(*(lead(str(number)) for number in range(60)))
    folder = back_up()
    delete(sandbox)
    sandbox.forget_requests()

    assert restore(folder).wanted["lead"] == 60
    paths = [each["path"] for each in sandbox.requests()]
    assert ([path for path in paths if "/lead/lead_" in path], sum("/event/" in path for path in paths)) == ([], 2)


def test_what_the_event_log_calls_deleted_and_close_has_again_is_passed_over(
    sandbox: CloseAccount, back_up: BackUp, restore: Restore
) -> None:
    back, gone = sandbox.add(lead("Back"), lead("Gone"))
    folder = back_up()
    delete(sandbox)
    sandbox.add(lead("Back", id=back))

    report = restore(folder, dry_run=False)

    assert (report.outcome, report.still_in_close, report.created["lead"]) == ("restored", 1, 1)
    assert sorted(each["name"] for each in sandbox.leads().values()) == ["Back", "Gone"]
    assert gone not in sandbox.leads()


def test_what_was_deleted_too_long_ago_for_the_event_log_is_asked_for(
    sandbox: CloseAccount, back_up: BackUp, restore: Restore
) -> None:
    """As where the log shows a deletion late."""
    kept, _ = sandbox.add(lead("Kept"), lead("Gone"))
    folder = back_up(made_at=datetime.now(UTC) + timedelta(hours=1))
    delete(sandbox, *(set(sandbox.leads()) - {kept}))

    report = restore(folder)

    assert (report.outcome, report.still_in_close, report.wanted["lead"]) == ("dry_run", 1, 1)


def test_what_a_restore_of_another_backup_has_made_is_passed_over(
    sandbox: CloseAccount, back_up: BackUp, restore: Restore
) -> None:
    """A run that was cut off, and the next one, may both have a copy of a lead."""
    sandbox.add(lead("A"), lead("B"))
    one, other = back_up(), back_up()
    delete(sandbox)
    restore(one, dry_run=False)

    report = restore(other, dry_run=False)

    assert (report.outcome, report.restored_before) == ("nothing_to_do", 2)
    assert len(sandbox.leads()) == 2


def test_what_was_restored_and_deleted_again_is_said_to_be(
    sandbox: CloseAccount, back_up: BackUp, restore: Restore
) -> None:
    sandbox.add(lead("A"), lead("B"))
    folder = back_up()
    delete(sandbox)
    restore(folder, dry_run=False)
    delete(sandbox, next(iter(sandbox.leads())))

    report = restore(folder, dry_run=False)

    assert (report.outcome, report.restored_before, len(sandbox.leads())) == ("nothing_to_do", 1, 1)
    assert report.message == (
        "No lead of this backup is left to restore. Restored before and deleted since: 1 lead. "
        "To bring these back, restore the backup of the run that deleted them."
    )


def test_what_was_forgotten_stays_forgotten(sandbox: CloseAccount, back_up: BackUp, restore: Restore) -> None:
    """Also where its line is still in the file."""
    gone, forgotten = sandbox.add(lead("Gone"), lead("Forgotten"))
    folder = back_up(forgotten=(forgotten,))
    delete(sandbox)

    assert "removed on request" in restore(folder, leads=[forgotten]).message
    assert restore(folder, dry_run=False).created["lead"] == 1
    assert [each["name"] for each in sandbox.leads().values()] == ["Gone"]
    assert gone not in sandbox.leads()


def test_nothing_is_sent_to_anybody(sandbox: CloseAccount, back_up: BackUp, restore: Restore) -> None:
    """An SMS that was to be sent comes back as a draft, and a call as one that Close had no part in."""
    messages = [
        {"_type": "SMS", "text": status, "status": status, "date_scheduled": "2999-01-01T00:00:00Z"}
        for status in ("scheduled", "outbox", "draft", "sent", "inbox")
    ]
    calls = [{"_type": "Call", "status": "in-progress", "source": "Close.io", "recording_url": "https://x.example/r"}]
    sandbox.add(lead("Acme", activities=[*messages, *calls, {"_type": "Email", "subject": "Hi", "status": "outbox"}]))
    folder = back_up()
    delete(sandbox)

    report = restore(folder, dry_run=False)

    [found] = export(sandbox)
    assert {each["text"]: each["status"] for each in found["activities"] if each["_type"] == "SMS"} == {
        "scheduled": "draft",
        "outbox": "draft",
        "draft": "draft",
        "sent": "sent",
        "inbox": "inbox",
    }
    assert not any("date_scheduled" in each for each in found["activities"])
    assert [(each["source"], each["status"]) for each in found["activities"] if each["_type"] == "Call"] == [
        ("External", "completed")
    ]
    assert report.lost == {
        "SMS that were to be sent, and become drafts": 2,
        "recordings of calls": 1,
        "activities of type Email": 1,
    }


def test_what_close_changes_is_reported(sandbox: CloseAccount, backup: Path, restore: Restore) -> None:
    """Whether it keeps dates of creation is not documented."""
    sandbox.behaviour(undocumented_dates="ignored")

    report = restore(backup, dry_run=False)

    assert report.outcome == "restored"
    assert report.changed_by_close == {"date_created of lead": 1, "date_created of task": 1}
    assert "Close changed date_created on 1 task." in report.notes


def test_a_lead_keeps_its_fields_of_every_type(sandbox: CloseAccount, back_up: BackUp, restore: Restore) -> None:
    """Several users, some of whom have left; choices of which one is gone; a field that points to a contact."""

    def field(name: str, kind: str, **more: Any) -> str:
        return sandbox.post("/custom_field/lead/", name=name, type=kind, **more)["id"]

    users = field("team", "user", accepts_multiple_values=True)
    tags = field("tags", "choices", choices=["a", "b"], accepts_multiple_values=True)
    boss = field("boss", "contact")
    size = sandbox.post("/custom_field/contact/", name="size", type="text")["id"]
    mia = MANAGERS[0].id
    values: dict[str, Any] = {users: [mia, "user_gone"], tags: ["a", "gone"], boss: "cont_x", SCORE_ID: 0}
    sandbox.add(
        lead(
            "Acme",
            contacts=[{"name": "Ann", f"custom.{size}": "large"}],
            **dict[str, Any]({f"custom.{key}": value for key, value in values.items()}),
        )
    )
    folder = back_up()
    delete(sandbox)

    report = restore(folder, dry_run=False, missing="skip")

    [found] = sandbox.leads().values()
    kept = {key: found.get(f"custom.{key}") for key in values}
    assert kept == {users: [mia], tags: ["a"], boss: None, SCORE_ID: 0}
    assert found["contacts"][0][f"custom.{size}"] == "large"
    assert report.missing == (
        "No choice of tags gone, which 1 object of the backup would need",
        "No user user_gone, which 1 object of the backup would need",
    )
    assert report.lost == {"custom fields that point to something else": 1}
