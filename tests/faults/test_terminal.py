"""A terminal that hangs up, and a console that nobody reads, at whichever step: the last rows of MATRIX.md."""

import os
import signal
from uuid import UUID

import pytest
from faults.happening import OFF, POINTS, TERMINAL_FAULTS, Stage, hold, rows
from faults.table import Row, check, count_of
from prefect.client.orchestration import get_client
from support.attempts import start_again, tried_again, wait_until
from support.close_account import CloseAccount, lead
from support.fake_clock import FakeClock
from support.terminal_processes import newest_run, processes
from support.terminal_session import Command

from tasks.runs.outcomes import Outcome

pytestmark = [pytest.mark.server, pytest.mark.timeout(600), pytest.mark.usefixtures("empty_ledger")]

BULK_DELETES = "/bulk_action/delete/"
NO_KEEP = [f"--no-keep.{name.replace('_', '-')}" for name in OFF]
DAYS = [word for name in ("created", "communication") for word in (f"--keep.{name}-within-days", "0")]
RUN = ("run", "--match.status", "Junk", *NO_KEEP, *DAYS, "--no-dry-run", "--no-backup", "--json")
ALWAYS = "poll"
BRIEFLY = 3.0  # seconds


def parameters() -> list[object]:
    """With `make test` those at one point, with `make test-all` every one."""
    return [
        pytest.param(
            point, fault, id=f"{point.name}: {fault}", marks=[] if point.name == ALWAYS else pytest.mark.exhaustive
        )
        for point in POINTS
        for fault in TERMINAL_FAULTS
    ]


@pytest.mark.parametrize(("point", "fault"), parameters())
def test_what_happens_at_a_terminal(
    point: Stage,
    fault: str,
    sandbox: CloseAccount,
    prefect_server: str,
    lead_cleanup: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tried again by `lead-cleanup resume`; a run that has ended well by Prefect, as it may be in the UI."""
    sandbox.add(*(lead(name, "Junk") for name in "ABC"), lead("D"), lead("E"))
    hangs_up = fault == "hang-up of the terminal"
    held = hold(sandbox, point, *([] if hangs_up else [BRIEFLY]))
    with processes(prefect_server) as start:
        reader, writer = os.pipe()
        process = start(*RUN, stderr=writer)
        os.close(writer)
        wait_until(held)
        os.close(reader)
        if hangs_up:
            process.send_signal(signal.SIGHUP)
        process.communicate(timeout=300)
    run = newest_run()
    ends = outcome_of(str(run.state_name))
    started, sent = sandbox.get(BULK_DELETES)["data"], len(sandbox.posts(BULK_DELETES))
    sandbox.clear_faults()

    clock = FakeClock()
    monkeypatch.setattr("tasks.runs.connect.sleep", clock.sleep)
    monkeypatch.setattr("tasks.runs.connect.clock", clock)
    again = tried_again(run.id).outcome if ends == "deleted" else resumed(lead_cleanup, run.id)
    third = start_again(run.id).outcome if again == "unknown" else ""

    assert process.returncode == 143 if hangs_up else process.returncode == Outcome(ends).exit_code
    assert len(started) <= 1
    assert len(sandbox.get(BULK_DELETES)["data"]) == 1
    assert (third or again) == "deleted"
    assert len(sandbox.leads()) == 2
    check(Row(point.name, fault, ends, count_of(sent, len(started)), again, third), rows())


def resumed(lead_cleanup: Command, run_id: UUID) -> str:
    """How the run ends that a person resumes."""
    lead_cleanup("resume", str(run_id))
    with get_client(sync_client=True) as prefect:
        return outcome_of(str(prefect.read_flow_run(run_id).state_name))


def outcome_of(state: str) -> str:
    """The outcome that the name of the run's state stands for; else that name."""
    return next((each.value for each in Outcome if each.state_name == state), state.lower())
