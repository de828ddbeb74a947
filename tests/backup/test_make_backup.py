"""The backup: taken before anything is deleted, counted, read back; and without it nothing is deleted."""

import gzip
import json
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import fsspec  # pyright: ignore[reportMissingTypeStubs]
import pytest
from close.scripted_close import Answer, ScriptedClose
from fsspec.spec import AbstractFileSystem  # pyright: ignore[reportMissingTypeStubs]
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from restore.backups import delete
from support.attempts import attempt, created, start_again, tried_again
from support.close_account import CloseAccount, lead
from support.terminal_session import Command
from support.variations import first

from tasks.backup.archive import Archive, Manifest, Written
from tasks.bulk_delete.reconcile import count_remaining
from tasks.close.settings import CloseSettings
from tasks.ledger import store as ledger
from tasks.report.model import Report
from tasks.runs.host import ephemeral_host
from tasks.runs.run import Run as FlowRun

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("fake_clock")]

Run = Callable[..., Any]
BULK_DELETE, EXPORT = "/bulk_action/delete/", "/export/lead/"
JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "dry_run": False}


@pytest.fixture
def backups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which backups go."""
    folder = tmp_path / "backups"
    monkeypatch.setenv("CLOSE_BACKUP_URL", str(folder))
    return folder


@pytest.fixture
def elsewhere() -> Iterator[ScriptedClose]:
    """Another place for Close's files, which may give anything."""
    with ScriptedClose() as running:
        yield running


def folders(backups: Path) -> list[Path]:
    """Every folder of a run."""
    return sorted(backups.glob("*/*"))


def whole(backups: Path) -> list[Archive]:
    """What says of itself that it is a backup."""
    return [Archive.at(str(folder)) for folder in folders(backups) if (folder / "manifest.json").exists()]


def test_only_its_owner_may_read_a_backup(sandbox: CloseAccount, run_cleanup: Run, backups: Path) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))

    run_cleanup(**JUNK)

    [folder] = folders(backups)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}


# --- without a backup, nothing is deleted -----------------------------------------------------------------------------


def nothing_was_deleted(sandbox: CloseAccount, report: Report, backups: Path, leads: int) -> None:
    """Nothing at all; and nothing lies about that looks like a backup, or holds anybody's data."""
    assert report.outcome in {"refused", "failed"}
    assert sandbox.posts(BULK_DELETE) == []
    assert len(sandbox.leads()) == leads
    assert whole(backups) == []
    assert [each.name for folder in folders(backups) for each in folder.iterdir()] == []
    assert ledger.read(UUID(report.flow_run_id)) is None


MORE = pytest.mark.exhaustive


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer([{"id": "lead_a"}, {"id": "lead_b"}]), "only 2 of the 3 planned leads, of which 3 still match"),
        (Answer([{"id": f"lead_{n}"} for n in range(4)]), "4 leads, more than the 3 planned"),
        pytest.param(
            Answer([{"id": "lead_a"}, {"id": "lead_b"}, {"id": "lead_b"}]), "only 2 of the 3 planned leads", marks=MORE
        ),
        pytest.param(
            Answer([{"id": "lead_a"}, {"name": "b"}, {"id": "lead_c"}]),
            "an item that is not a lead with an id",
            marks=MORE,
        ),
        pytest.param(Answer(b'[{"id": "lead_a"}, {"id": "le'), "is not whole.", marks=MORE),
        pytest.param(Answer(b'[{"id": "lead_a", "name": "Ann", "title": "\xff"}]'), "is not whole.", marks=MORE),
        pytest.param(Answer(b"<html>no</html>"), "is not whole", marks=MORE),
        pytest.param(Answer({"error": "gone"}), "only 0 of the 3 planned leads", marks=MORE),
        (Answer([{"id": "lead_a"}], cut=5), "can't be downloaded (RemoteProtocolError)"),
        pytest.param(Answer({"error": "expired"}, 403), "can't be downloaded (the answer is 403)", marks=MORE),
    ],
)
def test_a_file_that_is_not_every_planned_lead_stops_the_run(
    sandbox: CloseAccount, run_cleanup: Run, backups: Path, elsewhere: ScriptedClose, answer: Answer, sentence: str
) -> None:
    """Too few, too many, twice the same, cut short, or not a file of leads at all."""
    sandbox.add(*(lead(name, "Junk") for name in "ABC"), lead("D"))
    sandbox.fault("GET", "/export/", "edit", times=1000, fields={"download_url": elsewhere.url})
    elsewhere.will_answer(*[answer] * 3)

    report = run_cleanup(**JUNK).report

    assert sentence in report.message
    nothing_was_deleted(sandbox, report, backups, leads=4)


def test_an_exported_lead_that_is_protected_as_we_read_it_stops_the_run(
    sandbox: CloseAccount, run_cleanup: Run, backups: Path, elsewhere: ScriptedClose
) -> None:
    """Close reads our query otherwise than we do: it has planned a lead with an open opportunity."""
    one, other, _ = sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"))
    sandbox.fault("GET", "/export/", "edit", times=1000, fields={"download_url": elsewhere.url})
    elsewhere.will_answer(Answer([{"id": one}, {"id": other, "opportunities": [{"status_type": "active"}]}]))

    report = run_cleanup(**JUNK).report

    assert f"1 lead contradicts keep.open_opportunities ({other})" in report.message
    nothing_was_deleted(sandbox, report, backups, leads=3)


@pytest.mark.parametrize(
    ("method", "fault", "sentence"),
    [
        pytest.param("POST", {"fault": "status", "status": 401}, "The API key's user may not export leads", marks=MORE),
        pytest.param(
            "POST",
            {"fault": "status", "status": 503},
            "There is no backup, so nothing was deleted: Close has a problem",
            marks=MORE,
        ),
        pytest.param(
            "POST",
            {"fault": "status", "status": 400},
            "There is no backup, so nothing was deleted: Close rejects",
            marks=MORE,
        ),
        ("GET", {"fault": "edit", "fields": {"status": "error"}}, "Close reports error for export expo_"),
        pytest.param(
            "GET",
            {"fault": "edit", "fields": {"status": "stuck"}},
            "After 2 hours Close has not finished export expo_",
            marks=MORE,
        ),
        ("GET", {"fault": "status", "status": 503}, "After 2 hours Close has not finished export expo_"),
        pytest.param(
            "GET", {"fault": "edit", "omit": ["download_url"]}, "it has no address to download from", marks=MORE
        ),
    ],
)
def test_an_export_that_fails_stops_the_run(
    sandbox: CloseAccount, run_cleanup: Run, backups: Path, method: str, fault: dict[str, Any], sentence: str
) -> None:
    sandbox.add(*(lead(name, "Junk") for name in "ABC"), lead("D"))
    sandbox.fault(method, "/export/", times=100_000, **fault)

    report = run_cleanup(**JUNK).report

    assert sentence in report.message
    nothing_was_deleted(sandbox, report, backups, leads=4)


def test_a_full_disk_stops_the_run(
    sandbox: CloseAccount, run_cleanup: Run, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/full takes nothing, as a full disk does."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    opened = Path("/dev/full").open

    def full(self: Any, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        return opened("wb", buffering=0)

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.open", full)
    report = run_cleanup(**JUNK).report
    monkeypatch.undo()

    assert "No space left on device" in report.message
    assert "CLOSE_BACKUP_URL" in report.message
    assert sandbox.posts(BULK_DELETE) == []


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("/proc/backups", "The storage at /proc/backups"),
        ("nonsense://bucket/backups", "The storage of nonsense://bucket/backups can't be used here"),
        pytest.param("gs://bucket/backups", "Please install gcsfs", marks=MORE),
        ("memory://backups", "is lost when the run ends"),
    ],
)
def test_storage_that_can_not_be_used_stops_the_run(
    sandbox: CloseAccount, run_cleanup: Run, monkeypatch: pytest.MonkeyPatch, url: str, sentence: str
) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    monkeypatch.setenv("CLOSE_BACKUP_URL", url)

    report = run_cleanup(**JUNK).report

    assert report.outcome == "refused"
    assert sentence in report.message
    assert sandbox.posts(BULK_DELETE) == []


class AwayFileSystem(AbstractFileSystem):  # pyright: ignore[reportUntypedBaseClass]
    """A bucket that can't be reached: each driver says so with errors of its own."""

    protocol = "away"

    def ls(self, *_: Any, **__: Any) -> list[Any]:
        raise FileNotFoundError

    def open(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("Unable to locate credentials")


def test_a_bucket_that_can_not_be_reached_stops_the_run(
    sandbox: CloseAccount, run_cleanup: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.register_implementation("away", AwayFileSystem, clobber=True)  # pyright: ignore[reportUnknownMemberType]
    sandbox.add(lead("A", "Junk"), lead("B"))
    monkeypatch.setenv("CLOSE_BACKUP_URL", "away://bucket/backups")

    report = run_cleanup(**JUNK).report

    assert report.outcome == "refused"
    assert "fails (RuntimeError: Unable to locate credentials): check CLOSE_BACKUP_URL" in report.message
    assert sandbox.posts(BULK_DELETE) == []


def test_a_backup_that_can_not_be_read_back_stops_the_run(
    sandbox: CloseAccount, run_cleanup: Run, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk has taken everything, and doesn't give all of it back."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    write = Archive.write_leads

    def write_and_lose(archive: Archive, leads: Any) -> Written:
        written = write(archive, leads)
        file = Path(archive.path) / written.file
        file.write_bytes(file.read_bytes()[:-1])
        return written

    monkeypatch.setattr(Archive, "write_leads", write_and_lose)
    report = run_cleanup(**JUNK).report

    assert "it was cut off or changed" in report.message
    nothing_was_deleted(sandbox, report, backups, leads=2)


def test_a_download_that_breaks_off_once_is_taken_up_again(
    sandbox: CloseAccount, run_cleanup: Run, backups: Path, elsewhere: ScriptedClose
) -> None:
    gone, _ = sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("GET", "/export/", "edit", times=1000, fields={"download_url": elsewhere.url})
    elsewhere.will_answer(Answer([{"id": gone}], cut=5), Answer([{"id": gone}]))

    assert run_cleanup(**JUNK).report.outcome == "deleted"


# --- what changes meanwhile, and who else is at it --------------------------------------------------------------------


def test_leads_edited_before_the_backup_are_spared_and_missing_in_it(
    sandbox: CloseAccount, run_cleanup: Run, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited, gone, _ = sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"))

    once_planned(monkeypatch, lambda: sandbox.put(f"/lead/{edited}/", description="call her"))
    report = run_cleanup(**JUNK).report

    assert (report.outcome, report.planned, report.processed) == ("deleted", 2, 1)
    assert [each["id"] for each in Archive.at(report.backup).leads()] == [gone]
    assert edited in sandbox.leads()


@pytest.mark.parametrize(
    ("edited_at", "said"),
    [
        ("planned", "2 leads match now, but the backup has 1 of the 2"),
        ("backed up", "1 lead matches now without being in the backup"),
    ],
)
def test_what_is_not_in_the_backup_is_not_deleted(
    sandbox: CloseAccount,
    run_cleanup: Run,
    backups: Path,
    monkeypatch: pytest.MonkeyPatch,
    edited_at: str,
    said: str,
) -> None:
    """After the backup a lead loses its protection; as another is edited, no more match than were planned."""
    edited, protected, _, _ = sandbox.add(
        lead("A", "Junk"), lead("B", "Junk", opportunities=[{"status_type": "active"}]), lead("C", "Junk"), lead("D")
    )
    [opportunity] = sandbox.leads()[protected]["opportunities"]
    lost = next(each["id"] for each in sandbox.get("/status/opportunity/")["data"] if each["type"] == "lost")
    seal = Archive.seal

    def edit(when: str) -> None:
        if when == edited_at:
            sandbox.put(f"/lead/{edited}/", description="call her")

    def seal_and_then(archive: Archive, manifest: Manifest) -> None:
        seal(archive, manifest)
        sandbox.put(f"/opportunity/{opportunity['id']}/", status_id=lost)
        edit("backed up")

    once_planned(monkeypatch, lambda: edit("planned"))
    monkeypatch.setattr(Archive, "seal", seal_and_then)
    report = run_cleanup(**JUNK).report

    assert report.outcome == "refused"
    assert said in report.message
    assert len(sandbox.leads()) == 4


def test_another_attempt_writes_the_same_folder_anew(sandbox: CloseAccount, run_cleanup: Run, backups: Path) -> None:
    """Close refused the first bulk delete; until the second attempt somebody edits one of the leads."""
    edited, gone, _ = sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"))
    sandbox.fault("POST", BULK_DELETE, "status", status=403)
    first = run_cleanup(**JUNK).report
    sandbox.put(f"/lead/{edited}/", description="call her")

    again = tried_again(first.flow_run_id)

    assert (first.outcome, again.outcome, again.backup) == ("refused", "deleted", first.backup)
    [archive] = whole(backups)
    archive.verify()
    assert [each["id"] for each in archive.leads()] == [gone]
    [folder] = folders(backups)
    assert sorted(each.name for each in folder.iterdir()) == [archive.manifest.file, "manifest.json", "report.json"]


def test_an_attempt_that_goes_on_waiting_reports_the_backup_and_leaves_it_alone(
    sandbox: CloseAccount, run_cleanup: Run, backups: Path
) -> None:
    sandbox.add(*(lead(name, "Junk") for name in "ABC"), lead("D"))
    first = run_cleanup(**JUNK).report
    made_at = whole(backups)[0].manifest.made_at

    again = tried_again(first.flow_run_id)

    assert (again.outcome, again.backup) == ("deleted", first.backup)
    assert "The backup of 3 leads stays until" in again.message
    assert len(sandbox.posts(EXPORT)) == 1
    assert whole(backups)[0].manifest.made_at == made_at


def test_of_several_copies_of_a_run_none_spoils_the_backup_of_what_was_deleted(
    sandbox: CloseAccount, empty_ledger: None, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect may have a living run tried again beside itself. What is exported while Close deletes is too little."""
    ids = sandbox.add(*(lead(f"{n}", "Junk") for n in range(10)), *(lead(f"{n}") for n in range(2)))[:10]
    sandbox.jobs(leads_per_second=20)
    monkeypatch.setattr("tasks.runs.connect.sleep", time.sleep)  # where one copy leaps, a claim of another runs out
    monkeypatch.setattr("tasks.runs.connect.clock", time.monotonic)
    run = created({**JUNK, "limits": {"max_share": 1.0}})
    reports: list[Report | None] = []

    copies = [threading.Thread(target=lambda: reports.append(attempt(run))) for _ in range(4)]
    for each in copies:
        each.start()
    for each in copies:
        each.join()

    [archive] = whole(backups)
    archive.verify()
    assert {each["id"] for each in archive.leads()} == set(ids)
    assert "deleted" in [each and each.outcome for each in reports]
    assert len(sandbox.posts(BULK_DELETE)) == 1


def test_a_copy_whose_claim_is_made_meanwhile_keeps_the_backup(
    sandbox: CloseAccount, empty_ledger: None, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other copy exports, claims and deletes while this one is between its plan and its export."""
    ids = sandbox.add(*(lead(f"{n}", "Junk") for n in range(5)), lead("D"))[:5]
    run = created(JUNK)
    others: list[Report | None] = []

    def the_other_one() -> None:
        monkeypatch.undo()
        monkeypatch.setenv("CLOSE_BACKUP_URL", str(backups))
        monkeypatch.setenv("CLOSE_API_URL", sandbox.url)
        monkeypatch.setenv("CLOSE_API_KEY", "api_sandbox.admin")
        other = threading.Thread(target=lambda: others.append(attempt(run)))
        other.start()
        other.join()

    once_planned(monkeypatch, the_other_one)
    report = attempt(run)

    assert [each and each.outcome for each in (report, *others)] == [
        None,
        "deleted",
    ]  # the later one speaks for the run
    [archive] = whole(backups)
    archive.verify()
    assert {each["id"] for each in archive.leads()} == set(ids)


def test_being_killed_while_writing_leaves_no_backup_and_the_next_attempt_makes_one(
    sandbox: CloseAccount, empty_ledger: None, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    run = created(JUNK)

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as dying:
        dying.setattr(Archive, "seal", die)
        with pytest.raises(SystemExit):
            attempt(run)
    assert whole(backups) == []

    assert tried_again(run.id).outcome == "deleted"
    [archive] = whole(backups)
    archive.verify()


def test_a_cancelled_run_reports_its_backup_too(sandbox: CloseAccount, run_cleanup: Run, backups: Path) -> None:
    from support.attempts import cancelled

    sandbox.add(lead("A", "Junk"), lead("B"))
    report = run_cleanup(**JUNK).report

    assert cancelled(report.flow_run_id).backup == report.backup


# --- what lies beside it, and for how long ----------------------------------------------------------------------------


def test_the_report_lies_beside_the_backup_without_names(
    sandbox: CloseAccount, run_cleanup: Run, backups: Path
) -> None:
    """So that the evidence outlives Prefect's history."""
    sandbox.add(lead("Ann Smith", "Junk"), lead("B"))

    report = run_cleanup(**JUNK).report

    [folder] = folders(backups)
    text = (folder / "report.json").read_text()
    assert json.loads(text) == json.loads(json.dumps(report.evidence()))
    assert "Ann" not in text


def test_storage_that_is_away_by_the_end_changes_nothing(
    sandbox: CloseAccount, run_cleanup: Run, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver raises what it likes."""
    sandbox.add(lead("A", "Junk"), lead("B"))

    def away(*_: object) -> None:
        raise RuntimeError("SlowDown")

    def count_and_lose(*args: Any) -> int:
        monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.open", away)
        return count_remaining(*args)

    monkeypatch.setattr("flows.lead_cleanup.count_remaining", count_and_lose)
    report = run_cleanup(**JUNK).report

    assert (report.outcome, report.logged) == ("deleted", None)


def test_a_report_that_can_not_be_written_there_changes_nothing(
    sandbox: CloseAccount, run_cleanup: Run, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    seal = Archive.seal

    def seal_and_lock(archive: Archive, manifest: Manifest) -> None:
        seal(archive, manifest)
        (Path(archive.path) / "report.json").mkdir()

    monkeypatch.setattr(Archive, "seal", seal_and_lock)
    report = run_cleanup(**JUNK).report

    assert report.outcome == "deleted"


def test_the_next_run_deletes_what_has_been_kept_long_enough(
    sandbox: CloseAccount, run_cleanup: Run, backups: Path
) -> None:
    """In its own organisation; and what a dead run has left goes too, when it is as old."""
    sandbox.add(*(lead(name, "Junk") for name in "AB"), lead("C"))
    report = run_cleanup(**JUNK).report
    [first] = folders(backups)
    old = Archive.at(str(first)).manifest.model_copy(update={"keep_until": datetime.now(UTC) - timedelta(minutes=1)})
    (first / "manifest.json").write_text(old.model_dump_json())
    others = backups / "orga_other" / report.flow_run_id
    others.mkdir(parents=True)
    (others / "manifest.json").write_text(old.model_dump_json())
    young = first.parent / str(uuid4())
    young.mkdir()
    (young / "leads-00000001.jsonl.gz").write_bytes(gzip.compress(b"{}\n"))
    sandbox.add(lead("D", "Junk"))

    run_cleanup(**JUNK)

    assert first not in folders(backups)
    assert {others, young} < set(folders(backups))
    assert len(folders(backups)) == 3


def test_a_wrong_clock_of_this_machine_deletes_no_backup(
    sandbox: CloseAccount, run_cleanup: Run, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))
    run_cleanup(**JUNK)
    [first] = folders(backups)
    sandbox.add(lead("C", "Junk"))

    class NextYear(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(days=366)

    monkeypatch.setattr("tasks.backup.make_backup.datetime", NextYear)
    monkeypatch.setattr("tasks.backup.prune.datetime", NextYear)
    report = run_cleanup(**JUNK).report

    assert first in folders(backups)
    assert Archive.at(report.backup).manifest.made_at < datetime.now(UTC)


def test_the_backup_of_what_close_may_still_be_deleting_is_kept(
    sandbox: CloseAccount, run_cleanup: Run, backups: Path, lead_cleanup: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the next run, and by a person."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", BULK_DELETE, "drop_before")
    first = run_cleanup(**JUNK).report
    manifest = Archive.at(first.backup).manifest
    over = manifest.model_copy(update={"keep_until": datetime.now(UTC) - timedelta(days=1)})
    Archive.at(first.backup).seal(over)

    monkeypatch.setenv("CLOSE_BACKUP_URL", f"file://{backups}")  # the same folder, spelt another way
    another = attempt(created(JUNK))
    said = lead_cleanup("backups", "--prune")

    assert (first.outcome, another and another.outcome) == ("unknown", "refused")
    assert Path(first.backup).exists()
    assert said.out.startswith("Deleted 0 old backups.")
    assert "has expired, but stays: its run isn't known to have ended" in said.err


# --- started once more, by a person -----------------------------------------------------------------------------------


@pytest.fixture
def unknown(sandbox: CloseAccount, run_cleanup: Run, backups: Path) -> Report:
    """A run of which it isn't known whether it has started anything; its two leads are there, and one more."""
    sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"))
    sandbox.fault("POST", BULK_DELETE, "drop_before")
    return run_cleanup(**JUNK).report


def cut_off(folder: Path) -> None:
    next(folder.glob("leads-*")).write_bytes(b"")


@pytest.mark.parametrize(
    ("harm", "said"), first(1, [(cut_off, "it was cut off or changed"), (shutil.rmtree, "has no manifest.json")])
)
def test_what_has_lost_its_backup_is_not_started_again(
    sandbox: CloseAccount, unknown: Report, harm: Callable[[Path], object], said: str
) -> None:
    harm(Path(str(unknown.backup)))

    again = start_again(str(unknown.flow_run_id))

    assert said in again.message
    assert len(sandbox.leads()) == 3


def test_what_is_over_a_limit_by_now_is_not_started_again(sandbox: CloseAccount, unknown: Report) -> None:
    """Meanwhile somebody has deleted the only other lead."""
    [other] = [id_ for id_, each in sandbox.leads().items() if each["name"] == "C"]
    delete(sandbox, other)

    again = start_again(str(unknown.flow_run_id))

    assert "By now the plan has every lead of the organisation (2)" in again.message
    assert len(sandbox.leads()) == 2


# --- where it may lie -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "found"), [("process", None), ("kubernetes", "a work pool of the type kubernetes")])
def test_the_type_of_its_work_pool_says_whether_a_run_has_a_folder_to_leave_things_in(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch, kind: str, found: str | None
) -> None:
    monkeypatch.setattr("tasks.runs.host.CONTAINERS", ())
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with get_client(sync_client=True) as prefect:
        prefect.create_work_pool(WorkPoolCreate(name=f"pool-{kind}", type=kind))
        flow_id = prefect.create_flow_from_name("lead-cleanup")
        deployment = prefect.create_deployment(flow_id, f"on-{kind}", work_pool_name=f"pool-{kind}")
        flow_run = prefect.create_flow_run_from_deployment(deployment)

    run = FlowRun(id=flow_run.id, as_of=datetime.now(UTC), cleanup="junk", deployment_id=deployment)
    assert ephemeral_host(run, CloseSettings()) == found


def test_in_a_container_a_vouched_for_volume_holds_the_backup_and_the_report_says_who_said_so(
    sandbox: CloseAccount, run_cleanup: Run, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox has nothing to lose: its folders are never refused, so here the settings name the real Close."""

    def as_if_close_were_real(run: FlowRun, known: CloseSettings) -> str | None:
        return ephemeral_host(run, known.model_copy(update={"api_url": "https://api.close.com/api/v1/"}))

    sandbox.add(lead("A", "Junk"), lead("B"))
    (backups.parent / ".dockerenv").touch()
    mounts = backups.parent / "mountinfo"
    mounts.write_text(f"1 0 0:1 / / rw - overlay overlay rw\n2 1 8:1 / {backups.parent} rw - ext4 /dev/sda1 rw\n")
    monkeypatch.setattr("tasks.runs.host.CONTAINERS", (backups.parent / ".dockerenv",))
    monkeypatch.setattr("tasks.backup.place.MOUNTS", mounts)
    monkeypatch.setattr("tasks.backup.make_backup.ephemeral_host", as_if_close_were_real)

    refused = run_cleanup(**JUNK).report
    monkeypatch.setenv("CLOSE_BACKUP_FOLDER_LASTS", "true")
    report = run_cleanup(**JUNK).report

    assert (refused.outcome, "CLOSE_BACKUP_FOLDER_LASTS=true" in refused.message) == ("refused", True)
    assert report.outcome == "deleted"
    assert "CLOSE_BACKUP_FOLDER_LASTS says" in str(report.notes)
    assert "CLOSE_BACKUP_FOLDER_LASTS says" in (Path(str(report.backup)) / "report.json").read_text()


def once_planned(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Something happens between the plan and the backup."""

    def meanwhile(*args: Any, key: str | None = None, **kwargs: Any) -> None:
        published(*args, key=key, **kwargs)
        if key and key.endswith("-plan"):
            monkeypatch.setattr("tasks.report.plan_artifact.publish", published)
            act()

    from tasks.report.artifacts import publish as published

    monkeypatch.setattr("tasks.report.plan_artifact.publish", meanwhile)
