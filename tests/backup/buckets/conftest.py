"""A bucket that is empty again for each test, and the settings that point to it."""

from collections.abc import Callable, Iterator

import pytest
from backup.buckets.local_s3 import BUCKET, LocalS3

from flows import cli

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def running_s3() -> Iterator[LocalS3]:
    with LocalS3() as server:
        yield server


@pytest.fixture
def s3(running_s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> LocalS3:
    """Where backups go. What the machine's own user has set up for AWS has no say."""
    running_s3.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL", running_s3.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOSE_BACKUP_URL", f"s3://{BUCKET}/close")
    return running_s3


@pytest.fixture
def lead_cleanup(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls ``lead-cleanup`` in this process; gives its exit code, and what it printed."""

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.call(words)
        out, err = capsys.readouterr()
        return code, out, err

    return call
