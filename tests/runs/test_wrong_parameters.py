"""Wrong parameters: the Prefect server refuses what its form's schema shows, and a run the rest, with a report."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import PrefectHTTPStatusError
from prefect.flow_engine import run_flow
from support.attempts import attempt, created, tried_again
from support.close_account import CloseAccount, lead
from support.terminal_session import Command

from flows.lead_cleanup import lead_cleanup
from flows.restore_leads import restore_leads
from tasks.report.artifacts import recall_report
from tasks.report.ending import report_of
from tasks.runs.parameters import wrong_in

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("empty_ledger", "fake_clock")]

MORE = pytest.mark.exhaustive

JUNK: dict[str, Any] = {"match": {"status": ["Junk"]}}
UNTOUCHED = dict.fromkeys(("never_communicated", "without_contacts", "unreachable", "allow_unknown_nodes"), False)
"""What the form in the Prefect UI submits as match where nobody has filled in anything."""
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "approval in other letters": ({**JUNK, "approval": "Above 100"}, "approval: 'Above 100' is neither never, nor "),
    "approval as YAML's true": ({**JUNK, "approval": True}, "approval: True is neither never, nor always, nor "),
    "no criterion": ({"match": {}}, "match: set at least one criterion, for example status or inactive_months."),
    "a form as it opens": ({"match": UNTOUCHED}, "match: set at least one criterion, for example status or "),
    "no match": ({}, "match: it is missing."),
    "a name that isn't known": (
        {**JUNK, "limit": {}},
        "limit: there is no setting of this name; correct or remove it.",
    ),
    "text that says false": ({**JUNK, "dry_run": "false"}, "dry_run: write true or false."),
    "several": (
        {**JUNK, "limits": {"batch": 0}, "sample": -1},
        "limits.batch: write 1 or more; sample: write 0 or more.",
    ),
}
UNKNOWN = "there is no setting of this name; correct or remove it"
ROOT = Path(__file__).parents[2]
OF_RESTORE: dict[str, Any] = {"backup": "s3://bucket/backup", "leads": ["Acme"]}


def nested(levels: int) -> object:
    """A list in a list, so many *levels* deep."""
    value: object = []
    for _ in range(levels):
        value = [value]
    return value


def found(run_id: UUID | str) -> FlowRun:
    """The run as it stands on the server."""
    with get_client(sync_client=True) as prefect:
        return prefect.read_flow_run(UUID(str(run_id)))


@pytest.mark.parametrize(("parameters", "sentence"), WRONG.values(), ids=WRONG)
def test_wrong_parameters_are_refused_in_one_sentence_with_a_name_and_a_report(
    sandbox: CloseAccount, parameters: dict[str, Any], sentence: str
) -> None:
    run = created({"cleanup": "junk", **parameters})

    report = attempt(run)

    assert report
    assert (report.outcome, report.headline) == ("refused", "Refused: nothing was deleted")
    assert report.message.startswith(f"The run's parameters can't be used: {sentence}")
    assert report.message in recall_report(run.id)["message"]
    ended = found(run.id)
    assert ended.state
    assert (ended.name, ended.state_name, ended.state.message) == ("junk: refused", "Refused", report.message)
    assert sandbox.requests() == []


def test_a_restore_refuses_them_too(sandbox: CloseAccount, prefect_server: str) -> None:
    with get_client(sync_client=True) as prefect:
        run = prefect.create_flow_run(restore_leads, parameters=OF_RESTORE)

    report = report_of(run_flow(restore_leads, flow_run=run, parameters=run.parameters, return_type="state"))  # pyright: ignore[reportArgumentType]

    assert report
    assert (report.outcome, report.headline) == ("refused", "Refused: nothing was restored")
    assert report.message == "The run's parameters can't be used: leads.0: write a lead's id, such as lead_AbC123."
    assert (found(run.id).name, found(run.id).state_name) == ("restore: refused", "Refused")


@pytest.mark.parametrize(
    ("flow", "parameters", "sentence"),
    [
        pytest.param(lead_cleanup, {}, "match: it is missing", id="cleanup, nothing"),
        pytest.param(lead_cleanup, {"dry_run": True}, "match: it is missing", id="cleanup, missing", marks=MORE),
        pytest.param(lead_cleanup, {**JUNK, "limit": 1}, f"limit: {UNKNOWN}", id="cleanup, unknown", marks=MORE),
        pytest.param(
            lead_cleanup,
            {**JUNK, "most leads": 1},
            f"most leads: {UNKNOWN}",
            id="cleanup, no identifier",
            marks=MORE,
        ),
        pytest.param(restore_leads, {}, "backup: it is missing", id="restore, nothing", marks=MORE),
        pytest.param(restore_leads, {"dry_run": True}, "backup: it is missing", id="restore, missing", marks=MORE),
        pytest.param(
            restore_leads, {"backup": "/b", "lead": []}, f"lead: {UNKNOWN}", id="restore, unknown", marks=MORE
        ),
    ],
)
def test_a_worker_s_process_refuses_missing_and_unknown_ones_too(
    sandbox: CloseAccount, prefect_server: str, flow: Any, parameters: dict[str, Any], sentence: str
) -> None:
    """Prefect's engine binds a run's parameters to the flow's signature before it validates them."""
    with get_client(sync_client=True) as prefect:
        run = prefect.create_flow_run(flow, parameters=parameters)
    entrypoint = f"flows/{flow.fn.__name__}.py:{flow.fn.__name__}"
    environment = {**os.environ, "PREFECT_API_URL": prefect_server, "PREFECT__FLOW_ENTRYPOINT": entrypoint}

    engine = subprocess.run(
        [sys.executable, "-m", "prefect.engine", str(run.id)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    ended = found(run.id)
    assert ended.state, engine.stderr
    message = f"The run's parameters can't be used: {sentence}."
    assert (ended.state_name, ended.state.message) == ("Refused", message), engine.stderr
    assert ended.name == ("ad-hoc: refused" if flow is lead_cleanup else "restore: refused")
    assert message in recall_report(run.id)["message"]
    assert "Traceback" not in engine.stderr
    assert sandbox.requests() == []


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({**JUNK, "approval": "x" * 300_000}, "approval: 'xxx"),
        ({**JUNK, "approval": nested(90)}, "approval: [[[[[[[...]]]]]]] is neither never"),
        ({**JUNK, "time_zone": "x" * 300_000}, "time_zone: 'xxx"),
        ({**JUNK, "x" * 300_000: 1}, "xxx"),
        ({**JUNK, **dict.fromkeys(map(str, range(5_000)), 1)}, "0: there is no setting of this name"),
        ({"match": {"name_words": ["a b" * 90_000]}}, "match.name_words.0: 'a b"),
        ({"match": {"email_domains": ["x" * 300_000]}}, "match.email_domains.0: 'xxx"),
        ({"match": {"status": ["Junk"], "x" * 300_000: 1}}, "match: there is no setting 'xxx"),
    ],
    ids=("approval", "deep", "time zone", "name", "many names", "word", "domain", "setting"),
)
def test_a_long_or_deep_value_is_not_quoted_whole(
    sandbox: CloseAccount, parameters: dict[str, Any], sentence: str
) -> None:
    report = attempt(created(parameters))

    assert report
    assert report.message.startswith(f"The run's parameters can't be used: {sentence}")
    assert len(report.message) < 1_100


def test_a_value_that_is_nested_more_deeply_than_python_recurses_is_refused(prefect_server: str) -> None:
    wrong = wrong_in(lead_cleanup.validate_parameters({**JUNK, "approval": nested(5_000)}))

    assert wrong
    assert wrong.problems.startswith("approval: [[[[[[[...]]]]]]] is neither never, nor always")


def test_a_run_that_deletes_and_whose_parameters_have_become_wrong_is_still_running(
    sandbox: CloseAccount, run_cleanup: Callable[..., Any]
) -> None:
    """As after an upgrade that no longer accepts what an earlier version did."""
    sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"))
    sandbox.jobs(stall_after=1)
    first = run_cleanup(**JUNK, dry_run=False, backup=False, limits={"max_wait_minutes": 1}).report
    with get_client(sync_client=True) as prefect:
        prefect.update_flow_run(UUID(first.flow_run_id), parameters={"match": {}, "dry_run": False})

    again = tried_again(first.flow_run_id)

    assert (again.outcome, again.bulk_delete_id) == ("still_running", first.bulk_delete_id)
    assert "match: set at least one criterion" in again.message


@pytest.mark.parametrize(
    ("flow", "parameters", "place"),
    [
        pytest.param(lead_cleanup, {**JUNK, "approval": "Above 100"}, "approval", id="approval"),
        pytest.param(lead_cleanup, {"match": {}}, "match", id="no criterion"),
        pytest.param(lead_cleanup, {"match": {"custom_fields": {"A": []}}}, "match.custom_fields.A", id="no value"),
        pytest.param(restore_leads, OF_RESTORE, "leads[0]", id="not a lead"),
        pytest.param(restore_leads, {"backup": ""}, "backup", id="no backup"),
    ],
)
def test_the_prefect_server_refuses_what_the_form_does(
    prefect_server: str, flow: Any, parameters: dict[str, Any], place: str
) -> None:
    """So no run begins at all."""
    with get_client(sync_client=True) as prefect:
        deployment = prefect.create_deployment(
            prefect.create_flow(flow),
            f"checked-{uuid4().hex}",
            parameter_openapi_schema=flow.parameters.model_dump_for_openapi(),
            enforce_parameter_schema=True,
        )
        with pytest.raises(PrefectHTTPStatusError) as refused:
            prefect.create_flow_run_from_deployment(deployment, parameters=parameters)

    assert refused.value.response.status_code == 409
    assert f"Validation failed for field '{place}'" in refused.value.response.text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--match.status", "Junk", "--approval", "Above 100"), "approval: 'Above 100' is neither never, nor always"),
        ((), "match: set at least one criterion, for example status or inactive_months."),
    ],
)
def test_the_command_line_refuses_them_before_there_is_a_run(
    lead_cleanup: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.setenv("CLOSE_API_KEY", "api_x")

    said = lead_cleanup("run", *words)

    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(sentence)
    assert said.err.count("\n") == 1
