"""Bad input gets one line that says what is wrong and what to do, and costs nothing: not one request."""

import json
import socket

import pytest
from support.close_account import USER, CloseAccount, lead
from support.terminal_session import Command

from tasks.close.network import certificates

CONTACTS = json.dumps({"type": "object_type", "object_type": "contact"})
EVERYTHING = json.dumps({"type": "match_all"})
UNKNOWN = json.dumps({"type": "near"})
SMART_VIEW = json.dumps({"id": "save_1", "name": "x", "type": "contact", "s_query": {"query": {"type": "match_all"}}})
OLDEST = json.dumps({"query": {"type": "id", "value": "lead_1"}, "results_limit": 50})


@pytest.mark.parametrize("command", ["run", "query"])
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("", "set at least one criterion"),
        ("junl", "There is no cleanup 'junl' in prefect.yaml; did you mean 'junk'?"),
        ("junk another", "another"),
        ("--match.stat Junk", "Did you mean --match.status?"),
        ("--status Junk", "Did you mean --match.status, what is deleted, or --keep.status, what is protected?"),
        ("--keeep.status Junk", "Did you mean --keep.status?"),
        ("--open-task", "Did you mean --keep.open-tasks?"),
        ("--match.status Bad Fit", "'unreachable'. A value of several words needs quotes."),
        ("--match.status=Bad Fit", "'unreachable'. A value of several words needs quotes."),
        ("--match.inactive-months 0", "match.inactive_months"),
        ("--match.inactive-months -1", "match.inactive_months"),
        ("--match.inactive-months soon", "--match.inactive-months"),
        ("--match.inactive-months", "requires an argument"),
        ("--match.name-words Acme,Inc", "is not one word"),
        ("--match.email-domains example", "is not a whole domain"),
        ("junk --limits.max-leads 0", "limits.max_leads"),
        ("junk --limits.max-share 2", "limits.max_share"),
        ("junk --time-zone Mars", "is not a time zone"),
        ("--match.s-query {", "--match.s-query is not JSON"),
        ("--match.s-query [1]", "not an object"),
        ("--match.s-query @missing.json", "the file missing.json can't be read"),
        (f"--match.s-query {CONTACTS}", "contact"),
        (f"--match.s-query {EVERYTHING}", "every lead"),
        (f"--match.s-query {OLDEST}", "limits.batch"),
        ("--match.custom-fields source", "write --match.custom-fields.NAME VALUE"),
        ("junk --keep.lead-ids 42", "keep.lead_ids.0: write a lead's id, such as lead_AbC123"),
        ("--match.inactive-months 1.5", "--match.inactive-months: write a whole number, such as 12."),
        ("--match.inactive-months 12.0", "--match.inactive-months: write a whole number, such as 12."),
        ("junk --limits.max-share half", "--limits.max-share: write a number, such as 0.05."),
        ("--match.never-communicated=perhaps", "--match.never-communicated: it takes none; leave the value out."),
        ("--match.custom-fields.No.1 x", "a name with a dot is written as JSON"),
        ('--match.custom-fields {"a":["x"],"a":["y"]}', "--match.custom-fields has the key 'a' twice"),
        ('--match.custom-fields={"a":', "--match.custom-fields is not JSON (line 1, column 6)"),
        (f"--match.s-query {UNKNOWN}", "leave it out (match.allow_unknown_nodes sends it anyway)"),
        (f"junk --keep.s-query {UNKNOWN}", "we don't know what near means; leave it out."),
        (f"--match.s-query {SMART_VIEW}", "Smart View of contact objects"),
    ],
)
def test_wrong_parameters(lead_cleanup: Command, sandbox: CloseAccount, command: str, words: str, sentence: str):
    said = lead_cleanup(command, *_split(words))

    said.is_one_line(sentence)
    assert sandbox.requests() == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("junk --expect -1", "expect"),
        ("junk --sample 101", "sample"),
        ("junk --sample 2.0", "write a whole number"),
        ("junk --no-dry-rum", "--no-dry-run"),
    ],
)
def test_wrong_parameters_of_a_run(lead_cleanup: Command, sandbox: CloseAccount, words: str, sentence: str):
    said = lead_cleanup("run", *_split(words))

    said.is_one_line(sentence)
    assert sandbox.requests() == []


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("CLOSE_API_KEY", "", "Settings, Developer, API Keys"),
        ("CLOSE_API_KEY", "api key", "CLOSE_API_KEY"),
        ("CLOSE_ACCESS_TOKEN", "token", "CLOSE_API_KEY and CLOSE_ACCESS_TOKEN are both set"),
        ("CLOSE_API_URL", "http://example.com/api/v1/", "plain http"),
        ("CLOSE_API_URL", "nowhere", "is not a URL"),
        ("CLOSE_TIMEOUT", "0", "CLOSE_TIMEOUT"),
    ],
)
@pytest.mark.parametrize("command", [["run", "junk"], ["query", "junk"], ["doctor"]])
def test_wrong_settings(
    lead_cleanup: Command,
    sandbox: CloseAccount,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    name: str,
    value: str,
    sentence: str,
):
    monkeypatch.setenv(name, value)

    said = lead_cleanup(*command)

    said.is_one_line(sentence)
    assert sandbox.requests() == []


UNUSABLE = {"ALL_PROXY": "socks5://127.0.0.1:1080", "NO_PROXY": "[::1]", "SSL_CERT_FILE": "/nowhere"}


@pytest.mark.parametrize(
    ("words", "name", "not_done"),
    [
        ("stop importing", "ALL_PROXY", "Nothing was stopped."),
        ("stop importing", "NO_PROXY", "Nothing was stopped."),
        ("stop importing", "SSL_CERT_FILE", "Nothing was stopped."),
        ("run junk", "ALL_PROXY", "Nothing was started."),
        ("restore lost --no-dry-run", "ALL_PROXY", "Nothing was started."),
        ("resume lost", "ALL_PROXY", "Nothing was resumed."),
        ("ledger", "ALL_PROXY", None),
        ("backups --prune", "ALL_PROXY", None),
        ("query --match.status Junk", "ALL_PROXY", None),
    ],
)
def test_a_proxy_or_certificates_that_can_not_be_used(
    lead_cleanup: Command, monkeypatch: pytest.MonkeyPatch, words: str, name: str, not_done: str | None
):
    monkeypatch.setenv("CLOSE_API_KEY", "api_a.b")
    monkeypatch.setenv(name, UNUSABLE[name])
    certificates.cache_clear()

    said = lead_cleanup(*words.split())

    certificates.cache_clear()
    said.is_one_line(f"{name}: ")
    assert said.err.rstrip().endswith(not_done) if not_done else "Nothing was" not in said.err


def test_the_doctor_lists_what_can_not_be_used(lead_cleanup: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLOSE_API_KEY", "api_a.b")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")

    said = lead_cleanup("doctor")

    assert said.code == 1
    assert "✗ network: ALL_PROXY: a SOCKS proxy needs" in said.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--match.status Jnk", "There is no lead status 'Jnk'; did you mean 'Junk'?"),
        ("--match.smart-view Stale", "There is no Smart View 'Stale'; did you mean 'Stale prospects'"),
        ("--match.custom-fields.sorce x", "There is no lead custom field 'sorce'; did you mean 'source' or 'score'?"),
        ("--match.custom-fields.source Nowhere", "has no choice 'Nowhere'"),
        ("--match.smart-view My_leads", "depends on"),
        ("--match.smart-view All_Leads", "every lead"),
        ("--match.smart-view Untouched_leads_(old_search)", "legacy"),
        ("--match.smart-view Follow_up", "use an id instead"),
        ("junk --keep.status Customr", "did you mean 'Customer'"),
    ],
)
def test_what_only_close_can_know_is_refused(lead_cleanup: Command, sandbox: CloseAccount, words: str, sentence: str):
    said = lead_cleanup("query", *(word.replace("_", " ") if "-" not in word else word for word in words.split()))

    said.is_one_line(sentence, code=3)
    assert sandbox.writes() == []


def test_an_unknown_command_names_the_nearest(lead_cleanup: Command):
    said = lead_cleanup("rum")

    said.is_one_line('Did you mean "run"?')


def test_a_wrong_key_is_refused(lead_cleanup: Command, sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLOSE_API_KEY", "api_wrong.key")

    said = lead_cleanup("query", "junk")

    said.is_one_line("CLOSE_API_KEY", code=3)
    assert "wrong.key" not in said.err
    assert sandbox.writes() == []


def test_the_key_of_another_organisation_is_refused(
    lead_cleanup: Command, sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CLOSE_ORGANIZATION_ID", "orga_expected")

    said = lead_cleanup("query", "junk")

    said.is_one_line("CLOSE_ORGANIZATION_ID is orga_expected", code=3)
    assert sandbox.writes() == []


def test_a_port_in_use_is_said(lead_cleanup: Command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        said = lead_cleanup("sandbox", "--port", port)

    said.is_one_line(f"port {port} is in use")


@pytest.mark.parametrize("words", ["--leads -1", "--leads-per-second 0", "--port 70000", "--leads many"])
def test_a_sandbox_that_cannot_be(lead_cleanup: Command, words: str):
    said = lead_cleanup("sandbox", *words.split())

    said.is_one_line(words.split(maxsplit=1)[0])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--match.status Jnk", "did you mean 'Junk'?"),
        ("--match.status Junk --expect 5", "not 5 as expected"),
        ("--match.smart-view Nothing", "There is no Smart View"),
    ],
)
@pytest.mark.server
def test_a_refused_run_prints_its_report_and_writes_nothing(
    lead_cleanup: Command, sandbox: CloseAccount, prefect_server: str, words: str, sentence: str
):
    said = lead_cleanup("run", *words.split(), "--no-dry-run", "--json")

    assert said.code == 3
    assert said.json["outcome"] == "refused"
    assert sentence in said.json["message"]
    assert "Traceback" not in said.err
    assert sandbox.writes() == []


@pytest.mark.server
def test_a_key_that_may_not_bulk_delete_is_refused(
    lead_cleanup: Command, sandbox: CloseAccount, prefect_server: str, monkeypatch: pytest.MonkeyPatch
):
    sandbox.add(lead("Wrong", "Junk"), lead("Right"))
    monkeypatch.setenv("CLOSE_API_KEY", USER)

    said = lead_cleanup("run", "--match.status", "Junk", "--no-dry-run", "--json")

    assert (said.code, said.json["outcome"]) == (3, "refused")
    assert "may not bulk delete" in said.json["message"]
    assert len(sandbox.writes()) == 0


@pytest.mark.server
def test_close_being_away_is_one_line(lead_cleanup: Command, prefect_server: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLOSE_API_KEY", "api_a.b")
    monkeypatch.setenv("CLOSE_API_URL", "http://127.0.0.1:9/api/v1/")
    monkeypatch.setattr("tasks.close.transport.READ_PATIENCE", 0.0)

    said = lead_cleanup("run", "--match.status", "Junk", "--json")

    assert (said.code, said.json["outcome"]) == (1, "failed")
    assert "Close at http://127.0.0.1:9 can't be reached (connection refused): " in said.json["message"]
    assert "Traceback" not in said.err


@pytest.mark.server
def test_deleting_off_this_machine_needs_a_prefect_server(lead_cleanup: Command, monkeypatch: pytest.MonkeyPatch):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setenv("CLOSE_API_KEY", "api_a.b")
    monkeypatch.setenv("CLOSE_API_URL", "https://close.invalid/api/v1/")

    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        said = lead_cleanup("run", "--match.status", "Junk", "--no-dry-run")

    said.is_one_line("PREFECT_API_URL")


def _split(words: str) -> list[str]:
    """Words, where JSON is one of them."""
    before, brace, rest = words.partition("{")
    given = before.split()
    if before.endswith("="):
        return [*given[:-1], f"{given[-1]}{brace}{rest}"]
    return [*given, *([f"{brace}{rest}"] if brace else [])]
