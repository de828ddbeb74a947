"""A backup in a bucket, as it lies there: what appears and what never does, and what is said where something fails."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from backup.buckets.conftest import Call
from backup.buckets.local_s3 import LocalS3

from tasks.backup.archive import Archive, Manifest, archives
from tasks.backup.folder import BLOCK
from tasks.backup.forget import forget
from tasks.backup.prune import prune
from tasks.runs.outcomes import Refused

pytestmark = [pytest.mark.server, pytest.mark.system, pytest.mark.xdist_group("bucket")]
MORE = pytest.mark.exhaustive

RUN = "00000000-0000-4000-8000-000000000001"
FOLDER = f"close/orga_1/{RUN}"
URL = f"s3://backups/{FOLDER}"
NOW = datetime(2026, 4, 1, tzinfo=UTC)
KEPT = timedelta(days=30)
ANN: dict[str, Any] = {"id": "lead_1", "contacts": [{"emails": [{"email": "ann@example.com"}]}]}
BOB: dict[str, Any] = {"id": "lead_2", "contacts": []}


def stored(*leads: dict[str, Any]) -> Archive:
    archive = Archive.at(URL)
    written = archive.write_leads(leads or (ANN, BOB))
    facts: dict[str, Any] = {"organization_id": "orga_1", "flow_run_id": RUN, "digest": "d", "s_query": {}}
    times = {"as_of": "2026-03-31T10:20:30.456Z", "made_at": NOW, "keep_until": NOW + KEPT}
    found = {"leads": written.leads, "file": written.file, "sha256": written.sha256}
    archive.seal(Manifest.model_validate({**facts, **times, **found}))
    return Archive.at(URL)


def many(blocks: float) -> Iterator[dict[str, Any]]:
    """Leads that fill so many blocks of an upload, even packed."""
    for number in range(int(blocks * BLOCK / 500_000)):
        yield {"id": f"lead_{number}", "note": os.urandom(500_000).hex()}


@MORE
def test_leads_of_several_blocks_can_be_read_again(s3: LocalS3):
    leads = list(many(1.1))

    archive = stored(*leads)

    archive.verify()
    assert list(archive.leads()) == leads
    assert sum("partNumber" in each for each in s3.requests) == 2
    assert (sorted(s3.objects()), s3.unfinished()) == ([f"{FOLDER}/{each}" for each in archive.files()], [])


ALLOWED = 64  # MiB
WRITE_AND_READ = """
import os, resource, sys
from tasks.backup.archive import Archive

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def there_and_back(leads):
    archive = Archive.at(sys.argv[1])
    written = archive.write_leads({"id": str(each), "note": os.urandom(500_000).hex()} for each in range(leads))
    assert sum(1 for _ in archive.leads(written.file)) == leads

there_and_back(1)
before = peak()
there_and_back(250)
print(peak() - before)
"""


@MORE
def test_a_hundred_megabytes_take_no_more_memory_than_a_few_blocks(s3: LocalS3):
    """Measured in a process of its own: the growth of its peak, after a backup of one lead."""
    command = [sys.executable, "-W", "ignore", "-c", WRITE_AND_READ, URL]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])

    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < ALLOWED


@pytest.mark.parametrize("blocks", [0.1, 1.1])
def test_leads_that_stop_half_way_never_appear(s3: LocalS3, blocks: float):
    """A refused backup: an object that is closed would be there for a moment, and as an older version for good."""

    def broken() -> Iterator[dict[str, Any]]:
        yield from many(blocks)
        raise Refused("one lead contradicts what was planned")

    with pytest.raises(Refused, match="contradicts"):
        Archive.at(URL).write_leads(broken())

    assert (s3.objects(), s3.unfinished()) == ({}, [])
    written = [each for each in s3.requests if each.startswith(("PUT", "POST"))]
    assert all(each.endswith("?uploads") or "partNumber" in each for each in written), "it was closed"


@pytest.mark.parametrize("request_", ["PUT .*partNumber=2", pytest.param("POST .*uploadId=", marks=MORE)])
def test_an_upload_that_breaks_is_given_up(s3: LocalS3, request_: str):
    s3.refuse(request_)

    with pytest.raises(Refused, match=r"The storage at .* fails \(PermissionError: Access Denied\)"):
        stored(*many(1.1))

    assert (s3.objects(), s3.unfinished()) == ({}, [])


def test_what_others_write_and_delete_is_seen(s3: LocalS3):
    """A worker lives for long, and another one prunes meanwhile."""
    archive = stored()
    before = archive.files()

    s3.put(f"{FOLDER}/report.json", b"{}")
    assert archive.files() == [*before, "report.json"]

    s3.put(f"{FOLDER}/report.json", b"{      }")
    with archive.open("report.json") as file:
        assert file.read() == b"{      }"

    for name in s3.objects():
        s3.remove(name)
    assert (archive.files(), archive.is_sealed, archives("s3://backups/close")) == ([], False, [])


@pytest.mark.server
def test_forgetting_and_pruning_leave_nothing_behind(s3: LocalS3, prefect_server: str):
    archive = stored()
    with archive.create("restore/lead_1.jsonl") as file:
        file.write(b"{}\n")

    assert forget(archive, "ann@example.com", NOW) == 1
    assert [each["id"] for each in Archive.at(URL).leads()] == ["lead_2"]
    assert len([each for each in s3.objects() if "leads" in each]) == 1, "the old file has the data"

    assert prune("s3://backups/close", None, NOW + 2 * KEPT, KEPT, set).deleted == [URL]
    assert s3.objects() == {}


@pytest.mark.server
def test_what_may_not_be_deleted_is_said(s3: LocalS3, prefect_server: str):
    """S3 deletes many objects with one request, and answers 200 whatever becomes of each."""
    stored()
    refusal = f"<Key>{FOLDER}/leads</Key><Code>AccessDenied</Code><Message>Access Denied</Message>"
    s3.refuse(r"POST /backups\?delete", status=200, body=f"<DeleteResult><Error>{refusal}</Error></DeleteResult>")

    with pytest.raises(Refused, match=f"1 file of {URL} can't be deleted"):
        prune("s3://backups/close", None, NOW + 2 * KEPT, KEPT, set)


@pytest.mark.parametrize("words", [(), ("--forget", "ann@example.com"), ("--prune",)])
def test_a_bucket_that_is_not_there_is_not_one_without_backups(
    s3: LocalS3, lead_cleanup: Call, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
):
    """Whoever has mistyped its name must not be told that nobody's data is left."""
    monkeypatch.setenv("CLOSE_BACKUP_URL", "s3://bakcups/close")

    code, out, err = lead_cleanup("backups", *words)

    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "s3://bakcups/close fails (FileNotFoundError: The specified bucket does not exist)" in err


def test_rights_to_one_folder_of_the_bucket_will_do(s3: LocalS3, lead_cleanup: Call):
    s3.refuse("GET .*prefix=&")

    assert lead_cleanup("backups") == (0, "There is no backup at s3://backups/close.\n", "")


def test_a_refused_key_is_one_sentence_wherever_it_is_met(s3: LocalS3, lead_cleanup: Call):
    stored()
    s3.refuse("(GET|HEAD) /backups/close")

    code, _, err = lead_cleanup("backups", "--verify")

    assert (code, err.count("\n")) == (3, 1)
    assert f"The storage at {URL} fails (PermissionError: Forbidden)" in err


def test_no_key_at_all_is_one_sentence_wherever_it_is_met(s3: LocalS3, monkeypatch: pytest.MonkeyPatch):
    """What the driver raises here is none of Python's own errors of files."""
    from s3fs import S3FileSystem  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

    stored()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with monkeypatch.context() as fresh:
        fresh.setattr(S3FileSystem, "cachable", False)
        archive = Archive.at(URL)

    for look in (lambda: archive.manifest, lambda: archive.is_sealed, lambda: archive.write("x", "y")):
        with pytest.raises(Refused, match="Unable to locate credentials"):
            look()
