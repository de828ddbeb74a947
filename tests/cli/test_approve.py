"""``approve``, and ``run`` with an approval: at a terminal somebody types the number, elsewhere a flag gives it."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import Pause
from support.attempts import attempt
from support.close_account import ADMIN, CloseAccount, lead
from support.terminal_processes import FLOWS, at_a_terminal
from support.terminal_session import Command
from support.variations import first

from flows.lead_cleanup import lead_cleanup as flow
from tasks.approval import answer
from tasks.report.model import Report

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger")]

UNASKED = ("run", "--match.status", "Junk", "--no-dry-run", "--json")
JUNK = (*UNASKED, "--approval", "always")
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def close(sandbox: CloseAccount) -> CloseAccount:
    """Two leads to delete among four."""
    sandbox.add(lead("A", "Junk"), lead("B", "Junk"), lead("C"), lead("D"))
    return sandbox


@pytest.fixture
def prefect(prefect_server: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def waiting(close: CloseAccount, prefect: SyncPrefectClient) -> UUID:
    """A run of a deployment that waits for its approval."""
    deployment = prefect.create_deployment(prefect.create_flow(flow), "nightly")
    parameters = {"match": {"status": ["Junk"]}, "dry_run": False, "approval": "always"}
    run = prefect.create_flow_run_from_deployment(deployment, parameters=parameters)
    with pytest.raises(Pause):
        attempt(run)
    return run.id


def goes_on(prefect: SyncPrefectClient, run_id: UUID) -> Report:
    """What a worker makes of it."""
    report = attempt(prefect.read_flow_run(run_id))
    assert report
    return report


def typed(close: CloseAccount, prefect_server: str, text: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """What the command says at a terminal at which somebody types *text*; its stdout is a file."""
    settings = {"CLOSE_API_URL": close.url, "CLOSE_API_KEY": ADMIN, "PREFECT_API_URL": prefect_server}
    return at_a_terminal([*FLOWS, *words], text, settings)


def test_a_run_is_approved_by_its_number_with_a_name_and_a_note(
    lead_cleanup: Command, close: CloseAccount, prefect: SyncPrefectClient, waiting: UUID
):
    said = lead_cleanup("approve", str(waiting), "--leads", "2", "--by", "Ann", "--note", "As agreed.")
    report = goes_on(prefect, waiting)

    assert (said.code, said.out) == (0, f"Run {waiting} is approved; a worker continues it.\n")
    assert report.outcome == "deleted"
    assert report.approved
    assert (report.approved.by, report.approved.note) == ("Ann", "As agreed.")


@pytest.mark.exhaustive
def test_a_wrong_number_declines_the_run(
    lead_cleanup: Command, close: CloseAccount, prefect: SyncPrefectClient, waiting: UUID
):
    lead_cleanup("approve", str(waiting), "--leads", "3").is_one_line("The plan has 2 leads, not 3", code=3)

    assert goes_on(prefect, waiting).outcome == "declined"
    assert close.writes() == []


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ((), "Say which run, and how many leads its plan has"),
        (("--leads", "-1"), "leads: write 0 or more."),
        (("--leads", "2", "--by", " "), "approver: it is empty; write what you mean, or leave it out"),
        (("--leads", "2", "--note", "x" * 501), "note: write at most 500 characters."),
    ],
)
@pytest.mark.exhaustive
def test_what_makes_no_sense_leaves_the_run_waiting(
    lead_cleanup: Command, prefect: SyncPrefectClient, waiting: UUID, flags: tuple[str, ...], sentence: str
):
    lead_cleanup("approve", str(waiting), *flags).is_one_line(sentence)

    assert prefect.read_flow_run(waiting).state_name == "Suspended"


def test_while_cleanups_are_stopped_nothing_is_approved(
    lead_cleanup: Command, prefect: SyncPrefectClient, waiting: UUID
):
    """The request stays, for when they go on."""
    lead_cleanup("stop", "importing")

    lead_cleanup("approve", str(waiting), "--leads", "2").is_one_line("Cleanups are stopped: importing.", code=3)

    assert prefect.read_flow_run(waiting).state_name == "Suspended"


@pytest.mark.exhaustive
def test_only_a_run_that_waits_for_it_is_approved(lead_cleanup: Command, close: CloseAccount):
    ended = lead_cleanup("run", "--match.status", "Junk", "--json").json["flow_run_id"]

    lead_cleanup("approve", ended, "--leads", "2").is_one_line("is DryRun: it isn't waiting for approval.", code=3)


@pytest.mark.exhaustive
def test_a_run_that_waits_is_not_resumed_but_approved(lead_cleanup: Command, waiting: UUID):
    lead_cleanup("resume", str(waiting)).is_one_line(f"waits for an approval: `lead-cleanup approve {waiting}`", code=3)


@pytest.mark.parametrize("by_id", first(1, [False, True]))
def test_at_a_terminal_approve_lists_what_waits_and_asks_which_who_and_how_many(
    close: CloseAccount, prefect_server: str, prefect: SyncPrefectClient, waiting: UUID, by_id: bool
):
    """No id is needed, but what the list shows of it will do. Other tests may have left runs that wait."""
    number = [run.id for run in answer.waiting()].index(waiting) + 1

    said = typed(close, prefect_server, f"{str(waiting)[:8] if by_id else number}\nAnn\n2", "approve")

    assert said.returncode == 0, said.stderr
    assert re.search(rf"{number} +2  .* UTC  {str(waiting)[:8]}  nightly: delete", said.stderr)
    assert "2 of 4 leads would be deleted." in said.stderr
    assert f"The plan ({prefect_server.removesuffix('/api')}/artifacts/artifact/" in said.stderr
    report = goes_on(prefect, waiting)
    assert report.approved
    assert (report.outcome, report.approved.by) == ("deleted", "Ann")


@pytest.mark.exhaustive
@pytest.mark.parametrize("text", ["0", "none"])
def test_who_picks_none_of_the_list_answers_nothing(
    close: CloseAccount, prefect_server: str, prefect: SyncPrefectClient, waiting: UUID, text: str
):
    said = typed(close, prefect_server, text, "approve")

    assert said.returncode == 2
    assert "Nothing was answered; the run keeps waiting." in said.stderr
    assert prefect.read_flow_run(waiting).state_name == "Suspended"


def test_elsewhere_approve_lists_what_waits_and_says_what_to_write(lead_cleanup: Command, waiting: UUID):
    said = lead_cleanup("approve")

    assert said.code == 2
    assert str(waiting)[:8] in said.err
    assert said.err.endswith("Say which run, and how many leads its plan has: lead-cleanup approve RUN --leads N.\n")


def test_of_several_runs_with_one_name_the_one_that_waits_is_approved(
    lead_cleanup: Command, close: CloseAccount, prefect: SyncPrefectClient, waiting: UUID
):
    """Runs of a cleanup are named alike. An id may be cut, too."""
    name = f"mine {waiting}"
    for each in (waiting, prefect.create_flow_run(flow, parameters={}).id):
        prefect.update_flow_run(each, name=name)

    lead_cleanup("approve", name, "--leads", "-1").is_one_line("leads: write 0 or more.")
    said = lead_cleanup("approve", str(waiting)[:8], "--leads", "2")

    assert said.out == f"Run {waiting} is approved; a worker continues it.\n"


@pytest.mark.parametrize(
    ("words", "text", "code", "outcome", "left"),
    first(1, [(UNASKED, "2", 0, "deleted", 2), (JUNK, "yes", 3, "declined", 4)]),
)
def test_at_a_terminal_a_run_asks_there_and_then(
    close: CloseAccount, prefect_server: str, words: tuple[str, ...], text: str, code: int, outcome: str, left: int
):
    """On stderr: stdout is the report's alone."""
    said = typed(close, prefect_server, text, *words)

    assert (said.returncode, len(close.leads())) == (code, left), said.stderr
    assert f'"outcome":"{outcome}"' in said.stdout
    assert "Type the number of leads" in said.stderr
    assert "Planned" in said.stderr


@pytest.mark.exhaustive
def test_at_a_terminal_what_is_expected_or_never_to_be_asked_is_not_asked(close: CloseAccount, prefect_server: str):
    expected = typed(close, prefect_server, "", *UNASKED, "--expect", "3")
    never = typed(close, prefect_server, "", *UNASKED, "--approval", "never")

    assert (expected.returncode, never.returncode, len(close.leads())) == (3, 0, 2)
    assert "Type the number" not in expected.stderr + never.stderr


def test_without_a_terminal_a_run_needs_the_number_it_expects(lead_cleanup: Command, close: CloseAccount):
    refused = lead_cleanup(*JUNK)
    wrong = lead_cleanup(*JUNK, "--expect", "3")
    before = close.writes()
    approved = lead_cleanup(*JUNK, "--expect", "2")

    assert (refused.code, wrong.code, before) == (3, 3, [])
    assert "run it at a terminal, or with --expect 2" in refused.json["message"]
    assert (approved.code, approved.json["processed"]) == (0, 2)


@pytest.mark.exhaustive
def test_approving_less_than_the_deployment_is_said(lead_cleanup: Command, close: CloseAccount, tmp_path: Path):
    (tmp_path / "prefect.yaml").write_text(
        "deployments: [{name: mine, entrypoint: flows/lead_cleanup.py:lead_cleanup, "
        "parameters: {match: {status: [Junk]}, approval: always}}]"
    )

    said = lead_cleanup("run", "mine", "--approval", "above 9")

    assert "Note: Less careful than its deployment: approval above 9 instead of always (approval)." in said.err


def test_an_approval_that_is_none_is_one_line(lead_cleanup: Command, sandbox: CloseAccount):
    lead_cleanup(*UNASKED, "--approval", "sometimes").is_one_line(
        "'sometimes' is neither never, nor always, nor above and a number"
    )
