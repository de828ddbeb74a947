"""A backup in storage: what its manifest promises, and what damage looks like."""

import gzip
import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import Any

import fsspec  # pyright: ignore[reportMissingTypeStubs]
import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem  # pyright: ignore[reportMissingTypeStubs]

from tasks.backup.archive import Archive, Manifest, Written, archives
from tasks.backup.forget import forget
from tasks.backup.place import CHECKOUT, Mount, check_place, mount_of
from tasks.backup.prune import prune
from tasks.runs.host import ephemeral_host
from tasks.runs.outcomes import Refused

RUN_1, RUN_2, RUN_3 = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
NOW = datetime(2026, 4, 1, tzinfo=UTC)
KEPT = timedelta(days=30)
LEADS: list[dict[str, Any]] = [
    {"id": "lead_1", "contacts": [{"emails": [{"email": "Ann@Example.com "}]}], "value": Decimal("0.1")},
    {"id": "lead_2", "contacts": [{"emails": [{"email": "bob@example.com"}, {"email": "b@other.org"}]}]},
    {"id": "lead_3", "contacts": []},
]


def manifest(written: Written, **more: Any) -> Manifest:
    facts = {"organization_id": "orga_1", "flow_run_id": RUN_1, "as_of": "2026-03-31T10:20:30.456Z", "digest": "d"}
    times = {"made_at": NOW, "keep_until": NOW + KEPT}
    found = {"leads": written.leads, "file": written.file, "sha256": written.sha256}
    return Manifest.model_validate({**facts, **times, "s_query": {"type": "id"}, **found, **more})


def stored(root: Path | str, leads: list[dict[str, Any]] = LEADS, **more: Any) -> Archive:
    """A backup in the folder *root*."""
    run = more.get("flow_run_id", RUN_1)
    archive = Archive.at(f"{root}/{more.get('organization_id', 'orga_1')}/{run}")
    archive.seal(manifest(archive.write_leads(leads), **more))
    return Archive.at(archive.url)


def test_what_is_written_can_be_read_again(tmp_path: Path):
    archive = stored(tmp_path)

    archive.verify()
    assert [json.dumps(each, default=float) for each in LEADS] == [json.dumps(each) for each in archive.leads()]


def test_only_the_owner_may_read_it_even_where_the_folder_was_there(tmp_path: Path):
    archive = stored(tmp_path)

    folder = Path(archive.path)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}


def test_leads_that_can_not_all_be_written_leave_nothing(tmp_path: Path):
    def broken() -> Any:
        yield LEADS[0]
        raise OSError("the other side went away")

    archive = Archive.at(str(tmp_path / "orga_1" / RUN_1))
    with pytest.raises(OSError, match="went away"):
        archive.write_leads(broken())

    assert archive.files() == []
    assert not archive.is_sealed


def test_leads_are_never_written_over(tmp_path: Path):
    """Until the manifest turns to the new file, the backup is what it was."""
    archive = stored(tmp_path)
    old = archive.manifest.file
    written = archive.write_leads(LEADS[:1])

    archive.verify()
    assert len(list(archive.leads())) == 3

    archive.seal(manifest(written))
    archive = Archive.at(archive.url)
    archive.verify()
    assert archive.leftovers() == [old]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def edit(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"bob@", b"rob@")))


def remove(path: Path) -> None:
    path.unlink()


def manifest_says(text: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.with_name("manifest.json").write_text(text)

    return damage


def lose_the_manifest(path: Path) -> None:
    path.with_name("manifest.json").unlink()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (cut, "it was cut off or changed"),
        (edit, "it was cut off or changed"),
        (remove, "can't be read to its end"),
        (manifest_says("{"), "The manifest of .* can't be read"),
        (manifest_says("[]"), "The manifest of .* is damaged"),
        (manifest_says('{"version": 1}'), "The manifest of .* is damaged"),
        (manifest_says('{"version": 2}'), "written by a newer version"),
        (lose_the_manifest, "is no backup: it has no manifest.json"),
    ],
)
def test_damage_is_one_sentence(tmp_path: Path, damage: Callable[[Path], object], sentence: str):
    archive = stored(tmp_path)
    damage(Path(archive.path) / archive.manifest.file)

    with pytest.raises(Refused, match=sentence):
        Archive.at(archive.url).verify()


def test_a_manifest_that_counts_another_number_is_refused(tmp_path: Path):
    with pytest.raises(Refused, match="has 3 leads, not the 4 of its manifest"):
        stored(tmp_path, leads=LEADS).verify(manifest(stored(tmp_path).write_leads(LEADS), leads=4))


def test_what_is_cut_off_where_it_is_packed_is_seen_while_reading(tmp_path: Path):
    archive = stored(tmp_path)
    cut(Path(archive.path) / archive.manifest.file)

    with pytest.raises(Refused, match="can't be read to its end"):
        list(archive.leads())


@pytest.mark.server
def test_any_storage_of_fsspec_will_do(prefect_server: str):
    archive = Archive.at(f"memory://bucket/orga_1/{RUN_1}")
    archive.seal(manifest(archive.write_leads(LEADS)))
    archive = Archive.at(archive.url)

    archive.verify()
    assert [each.url for each in archives("memory://bucket")] == [archive.url]
    assert prune("memory://bucket", None, NOW + 2 * KEPT, KEPT, set).deleted == [archive.url]
    assert archive.files() == []


def test_leads_are_read_in_large_pieces(monkeypatch: pytest.MonkeyPatch):
    """Gzip reads eight kilobytes at a time, and to the driver of gs:// each of them is a request."""
    leads = [{"id": f"lead_{number}", "note": token_hex(50_000)} for number in range(20)]
    archive = Archive.at("memory://large/orga_1/run-1")
    archive.seal(manifest(archive.write_leads(leads)))
    pieces: list[str] = []
    for name in ("read", "readinto"):

        def counted(self: MemoryFile, *size: Any, name: str = name) -> Any:
            pieces.append(name)
            return getattr(BytesIO, name)(self, *size)

        monkeypatch.setattr(MemoryFile, name, counted, raising=False)

    assert list(Archive.at(archive.url).leads()) == leads
    assert len(pieces) < 10


# --- how long ---------------------------------------------------------------------------------------------------------


def test_what_is_over_goes_and_what_can_not_be_read_stays(tmp_path: Path):
    over = stored(tmp_path, keep_until=NOW - timedelta(seconds=1))
    stored(tmp_path, flow_run_id=RUN_2)
    newer = stored(tmp_path, flow_run_id=RUN_3, keep_until=NOW - KEPT)
    (Path(newer.path) / "manifest.json").write_text('{"version": 9}')
    stored(tmp_path, organization_id="orga_2", keep_until=NOW - KEPT)

    assert prune(str(tmp_path), "orga_1", NOW, KEPT, set).deleted == [over.url]
    assert not Path(over.path).exists()
    assert len(archives(str(tmp_path))) == 3


def test_what_a_dead_run_has_left_goes_when_it_is_as_old_as_a_backup_gets(tmp_path: Path):
    left = Archive.at(str(tmp_path / "orga_1" / RUN_1))
    left.write_leads(LEADS)
    today = datetime.now(UTC)

    assert prune(str(tmp_path), None, today + KEPT - timedelta(hours=1), KEPT, set).deleted == []
    assert prune(str(tmp_path), None, today + KEPT + timedelta(hours=1), KEPT, set).deleted == [left.url]


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path):
    (tmp_path / "orga_1" / "notes").mkdir(parents=True)
    (tmp_path / "orga_1" / "notes" / "leads from the fair.csv").write_text("keep")
    (tmp_path / "orga_1" / ".DS_Store").touch()
    moved = stored(tmp_path, keep_until=NOW - KEPT)
    Path(moved.path).rename(tmp_path / "orga_1" / f"{RUN_1}-copied-by-hand")

    assert prune(str(tmp_path), None, datetime.now(UTC) + 100 * KEPT, KEPT, set).deleted == []


# --- forgetting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("whom", "gone"),
    [
        ("lead_2", ["lead_2"]),
        ("ann@example.com", ["lead_1"]),
        ("B@OTHER.org", ["lead_2"]),
        ("lead_9", []),
        ("nobody@example.com", []),
        ("example.com@", []),
    ],
)
def test_a_lead_is_taken_out_and_the_manifest_stays_honest(tmp_path: Path, whom: str, gone: list[str]):
    archive = stored(tmp_path)

    assert forget(archive, whom, NOW) == len(gone)

    after = Archive.at(archive.url)
    after.verify()
    assert [each["id"] for each in after.leads()] == [each["id"] for each in LEADS if each["id"] not in gone]
    assert (after.manifest.leads, list(after.manifest.forgotten)) == (3 - len(gone), gone)
    assert after.files() == [after.manifest.file, "manifest.json"], "the old file has the data"


def test_forgetting_that_dies_on_its_way_leaves_a_whole_backup_and_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for run, step in ((RUN_1, "seal"), (RUN_2, "leftovers")):
        archive = stored(tmp_path, flow_run_id=run)

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as dying:
            dying.setattr(Archive, step, die)
            with pytest.raises(KeyboardInterrupt):
                forget(archive, "lead_2", NOW)
        Archive.at(archive.url).verify()

        forget(Archive.at(archive.url), "lead_2", NOW)
        after = Archive.at(archive.url)
        after.verify()
        assert [each["id"] for each in after.leads()] == ["lead_1", "lead_3"]
        assert after.files() == [after.manifest.file, "manifest.json"]


def test_of_two_who_forget_at_once_the_second_is_told_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = stored(tmp_path)
    seal = Archive.seal

    def meanwhile(this: Archive, manifest: Manifest) -> None:
        with pytest.raises(Refused, match="is in use by a run"):
            forget(Archive.at(archive.url), "lead_2", NOW)
        seal(this, manifest)

    monkeypatch.setattr(Archive, "seal", meanwhile)
    assert forget(archive, "lead_1", NOW) == 1
    Archive.at(archive.url).verify()


def test_nobody_forgets_while_a_run_writes(tmp_path: Path):
    """What no manifest names yet may be about to be all there is of leads that are deleted."""
    archive = stored(tmp_path)

    with (
        archive.lock(exclusive=False),
        archive.lock(exclusive=False),
        pytest.raises(Refused, match="is in use by a run"),
    ):
        forget(archive, "nobody@example.com", NOW)


@pytest.mark.server
def test_in_a_bucket_nobody_forgets_while_a_run_may_be_writing(prefect_server: str):
    bucket = stored("memory://writing")
    bucket.write_leads(LEADS)

    with pytest.raises(Refused, match="which a run may be writing"):
        forget(bucket, "nobody@example.com", datetime.now(UTC))
    assert len(bucket.leftovers()) == 1
    assert forget(bucket, "nobody@example.com", datetime.now(UTC) + timedelta(days=2)) == 0
    assert bucket.leftovers() == []


def test_a_changed_backup_is_not_made_honest_by_forgetting(tmp_path: Path):
    archive = stored(tmp_path)
    edit(Path(archive.path) / archive.manifest.file)

    with pytest.raises(Refused, match="cut off or changed"):
        forget(Archive.at(archive.url), "lead_1", NOW)


def test_what_a_dead_run_has_left_is_forgotten_as_a_whole_but_not_while_it_may_be_written(tmp_path: Path):
    left = Archive.at(str(tmp_path / "orga_1" / RUN_1))
    left.write_leads(LEADS)
    today = datetime.now(UTC)

    with pytest.raises(Refused, match="a run may be writing it"):
        forget(left, "lead_1", today)
    assert forget(left, "lead_1", today + timedelta(days=2)) == 0
    assert left.files() == []


# --- where ------------------------------------------------------------------------------------------------------------


def test_only_the_owner_sees_the_folders(tmp_path: Path):
    archive = stored(tmp_path / "new" / "backups")

    run = Path(archive.path)
    assert {stat.S_IMODE(each.stat().st_mode) for each in (run, *run.parents[:3])} == {0o700}


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:1/x", "github://a/b", "zip:///nope.zip", "nothing://x"])
def test_storage_that_can_not_be_used_is_said_in_one_sentence(url: str):
    with pytest.raises(Refused, match=f"The storage of {url} can't be used here"):
        Archive.at(url)


def test_the_projects_own_checkout_is_refused(tmp_path: Path):
    (tmp_path / "link").symlink_to(CHECKOUT)

    for url in (str(CHECKOUT), f"{CHECKOUT}/backups", f"file://{CHECKOUT}/x/y", str(tmp_path / "link" / "backups")):
        with pytest.raises(Refused, match=r"inside the project's own checkout.*Set CLOSE_BACKUP_URL"):
            check_place(url, None)
    check_place(f"{CHECKOUT}-backups", None)


class Bucket(MemoryFileSystem):  # pyright: ignore[reportUntypedBaseClass]
    """Storage that isn't of this machine, as far as its name goes."""

    protocol = "bucket"


def test_where_the_machine_goes_away_a_folder_is_refused_and_storage_is_not(tmp_path: Path):
    with pytest.raises(Refused, match=r"which Kubernetes deletes after the run .*\. Set CLOSE_BACKUP_URL"):
        check_place(str(tmp_path), "Kubernetes")
    fsspec.register_implementation("bucket", Bucket, clobber=True)  # pyright: ignore[reportUnknownMemberType]
    check_place("bucket://backups", "Kubernetes")


def test_in_kubernetes_and_containers_folders_go_away_but_the_sandbox_has_nothing_to_lose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from uuid import uuid4

    from tasks.close.settings import CloseSettings
    from tasks.runs.run import Run

    run = Run(id=uuid4(), as_of=NOW, cleanup="ad-hoc")
    monkeypatch.setattr("tasks.runs.host.CONTAINERS", (tmp_path / ".dockerenv",))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert ephemeral_host(run, CloseSettings()) is None

    (tmp_path / ".dockerenv").touch()
    assert ephemeral_host(run, CloseSettings()) == "a container"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert ephemeral_host(run, CloseSettings()) == "Kubernetes"
    assert ephemeral_host(run, CloseSettings(api_url="http://127.0.0.1:8765/api/v1/")) is None


MOUNTINFO = """\
700 650 0:52 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/a:/b,upperdir=/c
701 700 0:55 / /proc rw,nosuid - proc proc rw
702 700 0:56 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k
710 700 254:1 /var/lib/docker/volumes/b/_data /backups rw,relatime - ext4 /dev/vda1 rw
711 700 0:60 / /my\\040backups rw,relatime shared:7 master:2 - nfs4 10.0.0.2:/exports rw
712 710 0:61 / /backups/cache rw,relatime - tmpfs tmpfs rw
713 700 254:1 /x /twice rw - ext4 /dev/vda1 rw
714 713 0:62 / /twice rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/root/.local/share/backups", None),
        ("/backups", ("/backups", "ext4")),
        ("/backups/close/orga_1", ("/backups", "ext4")),
        ("/backups-of-mine", None),
        ("/my backups/close", ("/my backups", "nfs4")),
        ("/backups/cache/close", ("/backups/cache", "tmpfs")),
        ("/twice/close", ("/twice", "tmpfs")),
    ],
)
def test_what_a_folder_is_mounted_on_is_read_from_the_mounts_of_this_process(path: str, mount: tuple[str, str] | None):
    assert mount_of(Path(path), MOUNTINFO) == (Mount(Path(mount[0]), mount[1]) if mount else None)
    assert mount_of(Path(path), "") is None


@pytest.mark.parametrize("lasts", [True, False])
@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/backups", None),
        ("/my backups/close", None),
        ("/root/backups", "it is on no mounted volume"),
        ("/backups/cache", "/backups/cache is tmpfs, which never lasts"),
    ],
)
def test_in_a_container_a_folder_on_a_volume_will_do_if_somebody_vouches_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, fault: str | None, lasts: bool
):
    """A mount is necessary and never sufficient: emptyDir, tmpfs and anonymous volumes are mounts that go."""
    (tmp_path / "mountinfo").write_text(MOUNTINFO)
    monkeypatch.setattr("tasks.backup.place.MOUNTS", tmp_path / "mountinfo")

    assert check_place(path, None, lasts=lasts) is False
    if lasts and not fault:
        assert check_place(path, "a container", lasts=True) is True
        return
    with pytest.raises(Refused) as refused:
        check_place(path, "a container", lasts=lasts)
    why = fault or f"/{path.split('/')[1]} is mounted, but a mount may go as well"
    assert f"the folder {path}, which a container deletes after the run ({why})" in str(refused.value)
    assert "CLOSE_BACKUP_FOLDER_LASTS=true" in str(refused.value)


def test_without_a_list_of_mounts_no_folder_of_a_container_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tasks.backup.place.MOUNTS", tmp_path / "nothing")

    with pytest.raises(Refused, match="it is on no mounted volume"):
        check_place("/backups", "a container", lasts=True)
