"""One client for all tasks of a process; a key that is replaced in its Secret block while a run waits."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from pydantic import SecretStr
from support.close_account import ADMIN, OTHER, USER, CloseAccount, lead

from tasks.bulk_delete import wait as waiting
from tasks.close.settings import CloseSettings
from tasks.runs import connect

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("fake_clock")]

Run = Callable[..., Any]
ADAS_OTHER = "api_sandbox.admin2"
BLOCK = "of-the-test"
JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}, "dry_run": False, "backup": False}


def keep(key: str) -> None:
    """Put *key* into the block, in place of the one that is there."""
    Secret(value=SecretStr(key)).save(BLOCK, overwrite=True)  # pyright: ignore[reportUnknownMemberType]


@pytest.fixture
def close(sandbox: CloseAccount, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloseAccount]:
    """Leads to delete, and settings whose key is in a block."""
    sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"))
    monkeypatch.delenv("CLOSE_API_KEY")
    monkeypatch.setenv("CLOSE_API_KEY_BLOCK", BLOCK)
    keep(ADMIN)
    yield sandbox
    with get_client(sync_client=True) as prefect:
        prefect.delete_block_document(prefect.read_block_document_by_name(BLOCK, "secret").id)


def replaced_by(monkeypatch: pytest.MonkeyPatch, close: CloseAccount, key: str) -> None:
    """When the run begins to wait, Close refuses its key from then on, and the block holds another one."""
    wait = waiting.wait

    def once_replaced(*arguments: Any) -> Any:
        keep(key)
        close.fault("GET", "/bulk_action/delete/bulkdelete_", "status", status=401)
        return wait(*arguments)

    monkeypatch.setattr(waiting, "wait", once_replaced)


def test_a_run_goes_on_with_the_key_that_has_replaced_its_own(
    close: CloseAccount, run_cleanup: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    replaced_by(monkeypatch, close, ADAS_OTHER)

    report = run_cleanup(**JUNK).report

    assert report.outcome == "deleted"
    assert "Continuing with the one that has replaced it." in caplog.text
    assert connect.read_settings() == CloseSettings().with_api_key(ADAS_OTHER)


@pytest.mark.parametrize("key", [ADMIN, USER, OTHER])
def test_it_goes_on_with_no_other_key(
    close: CloseAccount, run_cleanup: Run, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """The same key again, another user's, another organisation's."""
    replaced_by(monkeypatch, close, key)

    report = run_cleanup(**JUNK).report

    assert report.outcome == "still_running"
    assert "(401)" in report.message


@pytest.mark.parametrize(("key", "why"), [(USER, "is now that of"), (OTHER, "belongs to")])
def test_before_anything_is_claimed_it_must_still_be_that_users_key(
    close: CloseAccount, run_cleanup: Run, monkeypatch: pytest.MonkeyPatch, key: str, why: str
) -> None:
    """Close accepts the old key as well, so only the block tells that it was replaced."""

    def replaced(*_: object, **__: object) -> None:
        keep(key)

    monkeypatch.setattr("flows.lead_cleanup.check_plan", replaced)

    report = run_cleanup(**JUNK).report

    assert why in report.message
    assert close.posts("/bulk_action/delete/") == []


def test_the_tasks_of_a_run_share_a_client(
    close: CloseAccount, run_cleanup: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[CloseSettings] = []
    client = connect.CloseClient

    def counting_clients(found: CloseSettings, **options: Any) -> Any:
        made.append(found)
        return client(found, **options)

    monkeypatch.setattr(connect, "CloseClient", counting_clients)

    assert run_cleanup(**{**JUNK, "backup": True}).report.outcome == "deleted"

    assert len(made) == 1
    asked = [each["path"] for each in close.requests()]
    assert (asked.count("/me/"), asked.count("/status/lead/")) == (1, 1)
