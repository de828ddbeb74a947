"""Prefect refuses, lacks something or can't be reached: one sentence each, and what that means for what was asked."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import (
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)
from support.close_account import CloseAccount, lead
from support.proxy import Proxy, Spoil
from support.terminal_processes import Start, newest_id
from support.terminal_session import Command
from support.untrusted import untrusted
from support.variations import first

from tasks.runs.connect import PrefectUnavailable, prefect
from tasks.runs.prefect_errors import NotInPrefect

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger")]

JUNK = ("run", "--match.status", "Junk", "--no-dry-run", "--no-backup")
ALWAYS = 10_000
STOP, GO = ("stop", "importing"), ("go",)
RUN = str(uuid4())


@pytest.fixture
def front(prefect_server: str) -> Iterator[Proxy]:
    """A server in front of Prefect's, to which the commands go; their requests aren't repeated."""
    with Proxy(prefect_server) as proxy, reaching(f"{proxy.address}/api"):
        yield proxy


def reaching(address: str) -> AbstractContextManager[object]:
    """For the length of a block, the Prefect server is at *address*, and nothing is asked of it twice."""
    return temporary_settings({PREFECT_API_URL: address, PREFECT_CLIENT_MAX_RETRIES: 0})


@pytest.fixture
def close(sandbox: CloseAccount) -> CloseAccount:
    sandbox.add(lead("A", "Junk"), lead("B"))
    return sandbox


@pytest.mark.parametrize(
    ("words", "undone"),
    [
        (JUNK, "Nothing was started."),
        (STOP, "Nothing was stopped."),
        (GO, "Cleanups stay as they were."),
        (("resume", RUN), "Nothing was resumed."),
        (("approve", RUN, "--leads", "3"), "Nothing was answered."),
        (("ledger",), ""),
        (("report", RUN), ""),
    ],
    ids=("run", "stop", "go", "resume", "approve", "ledger", "report"),
)
def test_what_was_not_done_is_said(
    lead_cleanup: Command, close: CloseAccount, front: Proxy, words: tuple[str, ...], undone: str
) -> None:
    """Before anything has begun, whatever the reason."""
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        away = lead_cleanup(*words)
    front.trouble("POST /api/variables/filter", "forbid", times=ALWAYS)
    forbidden = lead_cleanup(*words)

    away.is_one_line("The Prefect server at http://127.0.0.1:9/api can't be reached (ConnectError)", code=1)
    forbidden.is_one_line("forbids POST /variables/filter (403)", code=2)
    assert away.err.rstrip().endswith(undone or "that it runs.")
    assert forbidden.err.rstrip().endswith(undone or "may do.")
    assert close.requests() == []


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("http://ann:secret@127.0.0.1:9/api", "The Prefect server at http://127.0.0.1:9/api can't be reached"),
        ("127.0.0.1:4200/api", "PREFECT_API_URL: it is not an address"),
    ],
)
def test_an_address_that_is_wrong_is_one_sentence_without_a_password(
    lead_cleanup: Command, address: str, sentence: str
) -> None:
    with reaching(address):
        said = lead_cleanup(*STOP)

    assert sentence in said.err
    assert "secret" not in said.err
    assert said.err.rstrip().endswith("Nothing was stopped.")
    assert len(said.err.splitlines()) == 1


def test_an_address_without_api_is_told_from_a_server_that_is_away(lead_cleanup: Command, prefect_server: str) -> None:
    with temporary_settings({PREFECT_API_URL: prefect_server.removesuffix("/api")}):
        said = lead_cleanup(*STOP)

    said.is_one_line("PREFECT_API_URL usually ends in /api. Nothing was stopped.")


def test_what_answers_but_is_no_prefect_is_told_too(lead_cleanup: Command, sandbox: CloseAccount) -> None:
    with temporary_settings({PREFECT_API_URL: f"{sandbox.base}/sandbox"}):
        said = lead_cleanup(*STOP)

    said.is_one_line("There is no Prefect API at")


def test_a_certificate_that_is_not_trusted_names_the_setting_that_makes_it_so(
    lead_cleanup: Command, tmp_path: Path
) -> None:
    with untrusted(tmp_path) as there, temporary_settings({PREFECT_API_URL: f"{there.address}/api"}):
        unknown = lead_cleanup(*STOP)
        with temporary_settings({PREFECT_API_SSL_CERT_FILE: str(there.certificate)}):
            known = lead_cleanup(*STOP)
        with temporary_settings({PREFECT_API_SSL_CERT_FILE: str(tmp_path / "nowhere")}):
            missing = lead_cleanup(*STOP)

    unknown.is_one_line("isn't trusted here (self-signed certificate): set PREFECT_API_SSL_CERT_FILE or SSL_CERT_FILE")
    missing.is_one_line("PREFECT_API_SSL_CERT_FILE: it can't be used")
    assert "isn't trusted" not in known.err


def test_a_query_that_is_too_long_for_prefect_is_one_sentence_and_not_the_query(
    lead_cleanup: Command, close: CloseAccount, tmp_path: Path
) -> None:
    """Prefect takes half a megabyte of parameters, and repeats all of them twice when it refuses more."""
    text = {"type": "text", "mode": "full_words", "value": "x" * 600_000}
    (tmp_path / "query.json").write_text(json.dumps(text))

    said = lead_cleanup("run", "--match.s-query", f"@{tmp_path / 'query.json'}")

    said.is_one_line("refuses POST /flow_runs/ (422): Flow run parameters must be less than 524,288 bytes", code=1)
    assert said.err.rstrip().endswith("Nothing was started.")
    assert len(said.err) < 400
    assert close.requests() == []


@pytest.mark.parametrize(
    ("spoil", "meaning", "code"),
    [
        ("forbid", "Nothing was stopped.", 2),
        ("error", "It isn't known whether that took effect: try again.", 1),
        ("drop_after", "It isn't known whether that took effect: try again.", 1),
    ],
)
def test_a_stop_that_fails_says_whether_anything_is_stopped(
    lead_cleanup: Command, front: Proxy, spoil: Spoil, meaning: str, code: int
) -> None:
    front.trouble("POST /api/variables/ ", spoil, times=ALWAYS)

    said = lead_cleanup(*STOP)

    said.is_one_line(meaning, code=code)


def test_what_is_stopped_stays_stopped_if_pausing_fails(
    lead_cleanup: Command, close: CloseAccount, front: Proxy
) -> None:
    front.trouble("POST /api/variables/filter", "error", times=ALWAYS, after=2)  # two looks whether the server is there

    said = lead_cleanup(*STOP, "--running")

    assert said.code == 1
    assert said.out.startswith("Cleanups are stopped")
    assert "Nothing was stopped" not in said.err
    assert "has a problem with POST /variables/filter (500)" in said.err


@pytest.mark.parametrize("why", ["wörter " * 2000, "\x01" * 3000, "a\udcffb", '"' * 5000])
def test_a_reason_that_prefect_can_not_keep_is_cut_and_everything_is_stopped(
    lead_cleanup: Command, close: CloseAccount, why: str
) -> None:
    """Whoever stops everything is in a hurry."""
    said = lead_cleanup("stop", why)
    refused = lead_cleanup(*JUNK, "--json")
    again = lead_cleanup("stop", why)

    assert (said.code, said.err) == (0, "")
    assert "Cleanups are stopped" in said.out
    assert "Prefect can't keep all of that reason. It is kept as: " in said.out
    assert (refused.code, refused.json["outcome"]) == (3, "refused")
    assert again.code == 0
    assert len(close.leads()) == 2


@pytest.mark.parametrize("spoil", ["forbid", "error"])
@pytest.mark.parametrize("after", [1, 2], ids=["as it begins", "as it ends"])
def test_a_run_that_loses_the_server_names_the_command_that_continues_it_and_nothing_else(
    lead_cleanup: Command, close: CloseAccount, front: Proxy, spoil: Spoil, after: int
) -> None:
    """The first of these requests creates the run; from then on something may have been started."""
    before = newest_id()
    front.trouble("POST /api/flow_runs/", spoil, times=ALWAYS, after=after)

    said = lead_cleanup(*JUNK)
    front.mend()

    run_id = newest_id()
    assert run_id != before
    assert said.code == 1
    assert "Traceback" not in said.err
    assert f"`lead-cleanup resume {run_id}` continues what it may have started, and starts nothing twice." in said.err


def test_a_run_of_a_deployed_cleanup_is_created_with_its_guards_in_one_request(
    lead_cleanup: Command, close: CloseAccount, front: Proxy
) -> None:
    """A second one could fail: the run would stay Pending, and the command would say that nothing was started."""
    before = newest_id()
    front.trouble("PATCH /api/flow_runs/", "forbid", times=ALWAYS)

    said = lead_cleanup("run", "junk", "--no-limits.ramp")
    front.mend()

    run_id = newest_id()
    assert run_id != before
    assert said.code == 1
    assert "Nothing was started" not in said.err
    assert f"`lead-cleanup resume {run_id}` continues" in said.err


def test_the_report_of_a_run_that_prefect_refuses_says_what_to_do(
    lead_cleanup: Command, close: CloseAccount, front: Proxy
) -> None:
    front.trouble("GET /api/variables/name/lead_cleanup_stop", "forbid", times=ALWAYS)

    said = lead_cleanup(*JUNK, "--json")

    assert (said.code, said.json["outcome"]) == (1, "failed")
    assert "(403): check what the credentials set here may do. Then retry this run" in said.json["message"]
    assert len(close.leads()) == 2


READS: dict[str, Callable[[SyncPrefectClient], object]] = {
    f"deployment {RUN}": lambda server: server.read_deployment(UUID(RUN)),
    "work pool cleanups": lambda server: server.read_work_pool("cleanups"),
    f"flow run {RUN}": lambda server: server.read_flow_run(UUID(RUN)),
}


@pytest.mark.parametrize("what", READS, ids=("deployment", "work pool", "run"))
def test_what_was_deleted_is_named_and_the_server_is_not_called_away(what: str, prefect_server: str) -> None:
    with pytest.raises(NotInPrefect) as caught, prefect() as server:
        READS[what](server)

    deleted = "it was deleted, or PREFECT_API_URL names another server."
    assert str(caught.value) == f"The Prefect server at {prefect_server} has no {what}: {deleted}"
    assert isinstance(caught.value, PrefectUnavailable)


@pytest.mark.parametrize(
    ("words", "code", "not_done"),
    first(1, [(STOP, 2, " Nothing was stopped."), (("backups", "--prune"), 2, ""), (("doctor",), 1, "")]),
)
def test_a_setting_that_prefect_can_not_read_is_named(
    start: Start, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, not_done: str
) -> None:
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "many")
    monkeypatch.setenv("CLOSE_API_KEY", "api_a.b")

    process = start(*words)
    out, err = process.communicate(timeout=120)

    assert process.returncode == code
    assert "Traceback" not in err
    assert f"max_retries: write a whole number without quotes.{not_done}" in out + err
