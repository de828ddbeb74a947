"""One lock per backup: one winner, also where its holder has died; and who sleeps past it changes nothing more."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from backup.test_archive import KEPT, LEADS, RUN_1, manifest, stored
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import VariableUpdate
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from tasks.backup import lease
from tasks.backup.archive import Archive, Manifest
from tasks.backup.folder import Locked
from tasks.backup.forget import forget
from tasks.backup.lock import locked
from tasks.backup.prune import prune
from tasks.runs.outcomes import Refused

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger")]

NAME = f"lead_cleanup_backup_{RUN_1}"


@pytest.fixture(params=["folder", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "folder" else f"memory://{uuid4()}"


@pytest.fixture
def bucket() -> Archive:
    """A backup that isn't on this machine."""
    return stored(f"memory://{uuid4()}")


@pytest.fixture
def prefect() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def run_out(prefect: SyncPrefectClient) -> None:
    """As if the holder of the lock had died a quarter of an hour ago."""
    found = prefect.read_variable_by_name(NAME)
    assert found
    assert isinstance(found.value, dict)
    over = datetime.now(UTC) - timedelta(seconds=1)
    prefect.update_variable(VariableUpdate(name=NAME, value={**found.value, "until": over.isoformat()}))


def test_what_is_restored_is_neither_restored_by_another_nor_forgotten_nor_pruned(root: str) -> None:
    archive, later = stored(root), datetime.now(UTC) + 2 * KEPT

    with locked(archive, "a restore"):
        with pytest.raises(Locked), locked(Archive.at(archive.url), "a restore"):
            pass
        with pytest.raises(Locked, match="repeat this when"):
            forget(Archive.at(archive.url), "lead_1", later)
        deleted, stayed = prune(root, None, later, KEPT, set)
        assert deleted == []
        assert [archive.url in each for each in stayed] == [True]

    assert forget(Archive.at(archive.url), "lead_1", later) == 1
    assert prune(root, None, later, KEPT, set).deleted == [archive.url]


def test_the_lock_says_until_when_it_is_held_and_by_what(bucket: Archive) -> None:
    with locked(bucket, "a restore"), pytest.raises(Locked) as refused:
        forget(Archive.at(bucket.url), "lead_1", datetime.now(UTC))

    until = datetime.now(UTC) + lease.LEASE
    assert f"{bucket.url} is locked by a restore until {until:%Y-%m-%d}" in str(refused.value)


def test_a_lock_ends_with_its_block_and_leaves_nothing_behind(bucket: Archive, prefect: SyncPrefectClient) -> None:
    with pytest.raises(KeyboardInterrupt), locked(bucket, "a restore"):
        raise KeyboardInterrupt

    assert prefect.read_variable_by_name(NAME) is None


def test_a_dead_holders_lock_runs_out_and_an_erasure_goes_on(bucket: Archive, prefect: SyncPrefectClient) -> None:
    with locked(bucket, "a restore"):  # which never ends, as far as the next line knows
        run_out(prefect)
        assert forget(Archive.at(bucket.url), "lead_1", datetime.now(UTC)) == 1


def test_of_two_who_see_a_dead_lock_one_takes_it(
    bucket: Archive, prefect: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second deletes what it saw, and not the lock that the first has created since under the same name."""
    delete, first = lease.delete_variable, locked(bucket, "the first")

    def slowly(server: SyncPrefectClient, variable_id: UUID) -> None:
        monkeypatch.undo()
        first.__enter__()
        delete(server, variable_id)

    with locked(bucket, "a dead restore"):
        run_out(prefect)
        monkeypatch.setattr(lease, "delete_variable", slowly)

        with pytest.raises(Locked, match="locked by the first"), locked(bucket, "the second"):
            pytest.fail("both hold it")

        first.__exit__(None, None, None)


def test_a_retry_of_the_run_that_has_died_waits_for_its_lock_and_not_for_one_that_lives(
    bucket: Archive, prefect: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed restore of a deployment is retried by an automation, once: refused, nobody would try it again."""
    slept: list[float] = []

    def lives(seconds: float) -> None:
        slept.append(seconds)
        extend()

    def is_dead(seconds: float) -> None:
        slept.append(seconds)
        run_out(prefect)

    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(uuid4()))
    monkeypatch.setattr(lease, "EXTEND_AFTER", timedelta())
    with locked(bucket, "a restore") as extend:
        monkeypatch.setattr("tasks.runs.connect.sleep", lives)
        with pytest.raises(Locked, match="locked by a restore"), locked(bucket, "a restore"):
            pytest.fail("both hold it")
        monkeypatch.setattr("tasks.runs.connect.sleep", is_dead)
        with locked(bucket, "a restore"):
            assert len(slept) == 2

        monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(uuid4()))
    with locked(bucket, "a restore"):
        monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(uuid4()))
        with pytest.raises(Locked), locked(bucket, "another run's restore"):
            pass
    assert len(slept) == 2


def test_who_was_superseded_finds_out_and_leaves_the_others_lock_alone(
    bucket: Archive, prefect: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "EXTEND_AFTER", timedelta())
    sleeper = locked(bucket, "a restore")
    check = sleeper.__enter__()
    check()
    run_out(prefect)

    with locked(bucket, "an erasure") as other:
        with pytest.raises(Locked, match="was lost"):
            check()
        with suppress(Locked):
            sleeper.__exit__(None, None, None)
        other()


def test_who_has_slept_for_too_long_asks_nobody_and_stops(bucket: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lease may end while what it sends is on its way, and somebody may already see it expired."""
    monkeypatch.setattr(lease, "LEASE", lease.STOP_BEFORE - timedelta(seconds=1))

    with locked(bucket, "a restore") as check, pytest.raises(Locked, match="was lost"):
        check()


def test_a_server_that_is_away_for_a_moment_ends_nothing(bucket: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "EXTEND_AFTER", timedelta())

    with locked(bucket, "a restore") as check:
        with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
            check()
        check()


def test_without_a_server_nothing_in_a_bucket_is_locked_and_a_folder_needs_none(
    bucket: Archive, tmp_path: Path
) -> None:
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        with pytest.raises(Refused, match="set PREFECT_API_URL to its address"):
            forget(bucket, "lead_1", datetime.now(UTC))
        assert forget(stored(tmp_path), "lead_1", datetime.now(UTC)) == 1


def test_a_lock_that_somebody_edited_or_a_newer_version_wrote_is_not_taken(
    bucket: Archive, prefect: SyncPrefectClient
) -> None:
    for value, sentence in (({"version": 9}, "newer version"), ("mine", "somebody edited it. Delete it")):
        with locked(bucket, "a restore"):
            prefect.update_variable(VariableUpdate(name=NAME, value=value))
            with pytest.raises(Locked, match=sentence):
                forget(bucket, "lead_1", datetime.now(UTC))


def test_forgetting_that_loses_its_lock_changes_nothing_and_leaves_no_copy(
    bucket: Archive, prefect: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another has taken the lock while the new file of leads was checked: to them the old one is the backup."""
    monkeypatch.setattr(lease, "EXTEND_AFTER", timedelta())
    verify = Archive.verify

    def meanwhile(this: Archive, manifest: Manifest | None = None) -> None:
        verify(this, manifest)
        if manifest:
            run_out(prefect)
            with locked(bucket, "a restore"):
                pass

    monkeypatch.setattr(Archive, "verify", meanwhile)
    before = bucket.files()

    with pytest.raises(Locked, match="was lost"):
        forget(Archive.at(bucket.url), "lead_1", datetime.now(UTC))

    after = Archive.at(bucket.url)
    verify(after)
    assert (after.files(), after.manifest.forgotten) == (before, ())


def test_in_a_bucket_what_a_run_has_just_renewed_is_not_changed(
    bucket: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second attempt of the run has stored its backup while the new file of leads was checked."""
    verify = Archive.verify

    def meanwhile(this: Archive, new: Manifest | None = None) -> None:
        verify(this, new)
        if new:
            other = Archive.at(bucket.url)
            other.seal(manifest(other.write_leads(LEADS)))

    monkeypatch.setattr(Archive, "verify", meanwhile)
    with pytest.raises(Refused, match="changed meanwhile"):
        forget(Archive.at(bucket.url), "lead_1", datetime.now(UTC))

    after = Archive.at(bucket.url)
    verify(after)
    assert after.manifest.forgotten == ()
