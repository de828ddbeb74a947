"""``lead-cleanup backups``: which there are, whether they are whole, and taking people's data out of them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from support.terminal_session import Command

from tasks.backup.archive import Archive, Manifest
from tasks.backup.lock import locked

RUN, OTHER = "0d9a1f6e-0000-4000-8000-000000000001", "0d9a1f6e-0000-4000-8000-000000000002"


@pytest.fixture
def backups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two backups."""
    folder = tmp_path / "backups"
    monkeypatch.setenv("CLOSE_BACKUP_URL", str(folder))
    contacts = [{"name": "Ann", "emails": [{"email": "ann@example.com"}]}]
    store(folder, RUN, [{"id": "lead_1", "contacts": contacts}, {"id": "lead_2"}])
    store(folder, OTHER, [{"id": "lead_3", "contacts": contacts}])
    return folder


def store(folder: Path | str, run: str, leads: list[dict[str, Any]], days: int = 30) -> None:
    archive = Archive.at(f"{folder}/orga_1/{run}")
    written = archive.write_leads(leads)
    now = datetime.now(UTC)
    archive.seal(
        Manifest(
            organization_id="orga_1",
            flow_run_id=run,
            as_of="2026-03-31T10:20:30.456Z",
            digest="d",
            s_query={"type": "id"},
            leads=written.leads,
            file=written.file,
            sha256=written.sha256,
            made_at=now,
            keep_until=now + timedelta(days=days),
        )
    )


def test_without_any_there_is_none(lead_cleanup: Command):
    said = lead_cleanup("backups")

    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("There is no backup at /")


def test_it_lists_them_and_asks_for_no_key(lead_cleanup: Command, backups: Path):
    said = lead_cleanup("backups")

    until = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
    assert said.code == 0
    assert [line.split()[0] for line in said.out.splitlines()] == ["run", RUN, OTHER]
    assert said.out.splitlines()[1].split()[-2:] == [until, "2"]


def test_it_verifies_one_or_all(lead_cleanup: Command, backups: Path):
    file = next((backups / "orga_1" / RUN).glob("leads*"))
    file.write_bytes(file.read_bytes()[:-1])

    whole = lead_cleanup("backups", OTHER, "--verify")
    damaged = lead_cleanup("backups", "--verify")

    assert (whole.code, whole.out.splitlines()[1].split()[-1]) == (0, "yes")
    assert damaged.code == 3
    assert "it was cut off or changed" in damaged.err
    assert [line.split()[-1] for line in damaged.out.splitlines()] == ["whole", "no", "yes"]


def test_one_is_named_by_the_beginning_of_its_id_where_that_is_unique(lead_cleanup: Command, backups: Path):
    other = "1e9a1f6e-0000-4000-8000-000000000003"
    store(backups, other, [{"id": "lead_2"}])

    assert lead_cleanup("backups", other[:8]).out.splitlines()[1].startswith(other)
    lead_cleanup("backups", RUN[:8]).is_one_line(f"several runs whose ids begin with {RUN[:8]}", code=3)
    lead_cleanup("backups", other[:7]).is_one_line(f"There is no backup of run {other[:7]}", code=3)
    lead_cleanup("backups", other[:8], "--forget", "lead_2").is_one_line(f"write the whole id: '{other[:8]}' is run ")
    assert "Forgotten: 1 lead, from 1 of 1 backup at" in lead_cleanup("backups", other, "--forget", "lead_2").out


def test_one_that_is_not_there_is_one_line(lead_cleanup: Command, backups: Path):
    lead_cleanup("backups", "no-such-run").is_one_line("There is no backup of run no-such-run", code=3)


def test_it_forgets_by_address_everywhere_and_by_id(lead_cleanup: Command, backups: Path):
    by_address = lead_cleanup("backups", "--forget", "Ann@Example.com")
    by_id = lead_cleanup("backups", "--forget", "lead_2")
    nobody = lead_cleanup("backups", "--forget", "lead_2")
    verified = lead_cleanup("backups", "--verify")

    assert f"Forgotten: 2 leads, from 2 of 2 backups at {backups}." in by_address.out
    assert f"Forgotten: 1 lead, from 1 of 2 backups at {backups}." in by_id.out
    assert (RUN in by_id.out, OTHER in by_id.out) == (True, False)
    assert nobody == (0, f"Forgotten: 0 leads, from 0 of 2 backups at {backups}.\n", "")
    assert verified.code == 0
    assert [line.split()[-2] for line in verified.out.splitlines()[1:]] == ["0", "0"]
    assert not any(b"lead_1" in each.read_bytes() for each in backups.rglob("leads*"))


def test_it_finds_a_person_and_changes_nothing(lead_cleanup: Command, backups: Path):
    before = {each: each.read_bytes() for each in backups.rglob("*") if each.is_file()}
    everywhere = lead_cleanup("backups", "--find", "Ann@Example.com")
    once = lead_cleanup("backups", "--find", "lead_2")
    nowhere = lead_cleanup("backups", "--find", "lead_9")

    assert f"Found in 2 of 2 backups at {backups}." in everywhere.out
    assert [line.split()[0] for line in once.out.splitlines()] == ["Found", "run", RUN]
    assert (nowhere.code, nowhere.out) == (0, f"Found in 0 of 2 backups at {backups}.\n")
    assert {each: each.read_bytes() for each in backups.rglob("*") if each.is_file()} == before


@pytest.mark.parametrize(("flag", "done"), [("--find", "searched"), ("--forget", "forgotten")])
def test_without_any_backup_nobody_is_called_absent(lead_cleanup: Command, tmp_path: Path, flag: str, done: str):
    """The worker's backups may be elsewhere."""
    sentence = f"is that the worker's CLOSE_BACKUP_URL? Nothing was {done}."

    lead_cleanup("backups", flag, "ann@example.com").is_one_line(sentence, code=3)


def test_leads_without_a_manifest_are_not_searched(lead_cleanup: Command, backups: Path):
    (backups / "orga_1" / RUN / "manifest.json").unlink()

    said = lead_cleanup("backups", "--find", "ann@example.com")

    assert (said.code, "Found in 1 of 1 backup at" in said.out) == (3, True)
    assert f"Not searched: {backups}/orga_1/{RUN} is no backup" in said.err


def test_where_nobody_can_be_looked_for_is_said_and_is_no_success(lead_cleanup: Command, backups: Path):
    file = next((backups / "orga_1" / RUN).glob("leads*"))
    file.write_bytes(file.read_bytes()[:-1])

    said = lead_cleanup("backups", "--find", "lead_3")

    assert said.code == 3
    assert "Found in 1 of 2 backups at" in said.out
    assert "Not searched: " in said.err


def test_what_can_not_be_forgotten_is_said_and_is_no_success(lead_cleanup: Command, backups: Path):
    (backups / "orga_1" / RUN / "manifest.json").write_text("{")

    said = lead_cleanup("backups", "--forget", "ann@example.com")

    assert said.code == 3
    assert "Forgotten: 1 lead, from 1 of 2 backups at" in said.out
    assert "Not forgotten: The manifest of" in said.err


@pytest.mark.parametrize("whom", ["Ann Smith", "cont_1", ""])
def test_nobody_is_found_or_forgotten_by_name(lead_cleanup: Command, backups: Path, whom: str):
    lead_cleanup("backups", "--find", whom).is_one_line("write the id of a lead")
    lead_cleanup("backups", "--forget", whom).is_one_line("write the id of a lead")


@pytest.fixture
def no_server() -> Iterator[None]:
    """No Prefect server is set."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        yield


@pytest.mark.usefixtures("no_server")
@pytest.mark.parametrize(
    ("report", "deleted"),
    [
        ('{"outcome": "deleted"}', 1),
        ('{"outcome": "refused"}', 1),
        ('{"outcome": "still_running"}', 0),
        ('{"outcome": "unknown"}', 0),
        ('{"outcome": "failed"}', 0),
        ('{"outc', 0),
        (None, 0),
    ],
)
def test_without_a_server_it_prunes_what_was_settled_by_its_own_report(
    lead_cleanup: Command, backups: Path, report: str | None, deleted: int
):
    """Close may still be deleting what is in the others, or somebody may have to decide about them."""
    old = "0d9a1f6e-0000-4000-8000-000000000009"
    store(backups, old, [{"id": "lead_9"}], days=-1)
    if report:
        (backups / "orga_1" / old / "report.json").write_text(report)

    said = lead_cleanup("backups", "--prune")

    assert (said.code, said.out.startswith(f"Deleted {deleted} old backup")) == (0, True)
    assert (old in said.out, "set PREFECT_API_URL" in said.err) == (deleted == 0, deleted == 0)


@pytest.mark.usefixtures("no_server")
@pytest.mark.parametrize("words", [("--forget", "ann@example.com"), ("--prune",)])
def test_nothing_in_a_bucket_is_changed_without_the_server_that_keeps_the_locks(
    lead_cleanup: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
):
    bucket = f"memory://{uuid4()}"
    monkeypatch.setenv("CLOSE_BACKUP_URL", bucket)
    store(bucket, RUN, [{"id": "lead_1"}], days=-1)

    lead_cleanup("backups", *words).is_one_line("kept by a Prefect server: start one with `make server`", code=3)
    assert lead_cleanup("backups").code == 0


def test_what_is_locked_is_not_forgotten_and_what_to_repeat_is_said(lead_cleanup: Command, backups: Path):
    with locked(Archive.at(f"{backups}/orga_1/{RUN}"), "a restore"):
        said = lead_cleanup("backups", "--forget", "ann@example.com")

    assert (said.code, "Forgotten: 1 lead, from 1 of 2 backups at" in said.out) == (3, True)
    assert f"{RUN} is in use by a run, a restore or an erasure: repeat this when that has ended." in said.err
    assert "Forgotten: 1 lead, from" in lead_cleanup("backups", "--forget", "ann@example.com").out


def test_storage_without_a_driver_is_one_line(lead_cleanup: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLOSE_BACKUP_URL", "gs://bucket/backups")

    lead_cleanup("backups").is_one_line("install gcsfs", code=3)
