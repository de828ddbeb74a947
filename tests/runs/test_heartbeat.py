"""The heartbeat: an address of yours is asked after each success, is in no log, and changes no outcome."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from prefect.blocks.system import Secret
from pydantic import SecretStr
from support.approvals import Ask
from support.close_account import CloseAccount, lead
from support.receiver import receiving

from tasks.runs.heartbeat import send_heartbeat

pytestmark = pytest.mark.server

BLOCK = "heartbeat-of-a-test"
SECRET = "3b7e1d0c"
"""The part of the address by which anybody could feign a success."""
Heard = list[tuple[str, bytes]]


@pytest.fixture
def watch(request: pytest.FixtureRequest, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    """What a service has heard whose address is kept in the Secret block that is set."""
    with receiving(getattr(request, "param", 200)) as receiver:
        keep(f"{receiver.url}/{SECRET}", monkeypatch)
        yield receiver.received


def keep(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSE_HEARTBEAT_BLOCK", BLOCK)
    Secret(value=SecretStr(address)).save(BLOCK, overwrite=True)  # pyright: ignore[reportUnknownMemberType]


def run(ask: Ask, **parameters: Any) -> str:
    asked = ask(waits=False, approval="never", limits={"max_share": 1.0}, backup=False, **parameters)
    return asked.goes_on().outcome


def test_a_deployed_run_that_succeeds_is_heard_of_and_no_other(sandbox: CloseAccount, ask: Ask, watch: Heard) -> None:
    sandbox.add(lead("A", "Junk"), lead("B"))

    assert (run(ask, expect=7), watch) == ("refused", [])
    assert (run(ask), watch) == ("deleted", [(f"/{SECRET}", b"")])


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (f"http://127.0.0.1:9/{SECRET}", "ConnectionRefusedError"),
        (f"http://127.0.0.1:port/{SECRET}", "InvalidURL"),
        (f"file:///{SECRET}", "it is no https:// or http:// address"),
        (SECRET, "it is no https:// or http:// address"),
    ],
)
def test_an_address_that_cannot_be_asked_is_a_warning_without_it(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str, why: str
) -> None:
    keep(address, monkeypatch)
    caplog.set_level(logging.DEBUG)

    send_heartbeat()

    assert f"in the Secret block {BLOCK}: {why}." in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("watch", [200, 500], indirect=True)
def test_no_log_has_the_address(watch: Heard, caplog: pytest.LogCaptureFixture) -> None:
    """At no level, of nobody: also when it is accepted."""
    caplog.set_level(logging.DEBUG)

    send_heartbeat()

    assert watch == [(f"/{SECRET}", b"")]
    assert SECRET not in caplog.text


def test_a_block_that_is_missing_is_a_warning(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CLOSE_HEARTBEAT_BLOCK", "nowhere")

    send_heartbeat()

    assert "the Secret block that CLOSE_HEARTBEAT_BLOCK names can't be loaded" in caplog.text
