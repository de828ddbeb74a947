"""The console goes away: a closed pipe or terminal, a full disk, a hang-up. Nothing that is written ends a run."""

import os
import signal
import subprocess
import sys

import pytest
from support.attempts import wait_until
from support.close_account import CloseAccount, lead
from support.terminal_processes import DELETING, JUNK, Start, newest_run
from support.terminal_session import Command

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("empty_ledger"), pytest.mark.timeout(300)]
MORE = pytest.mark.exhaustive

BULK_DELETES = "/bulk_action/delete/"


@pytest.fixture
def close(sandbox: CloseAccount) -> CloseAccount:
    """Four leads to delete, which takes some seconds."""
    sandbox.add(*(lead(name, "Junk") for name in "ABCD"), lead("E"))
    sandbox.jobs(leads_per_second=1)
    return sandbox


@pytest.mark.parametrize(
    "lost", [pytest.param(each, marks=MORE) for each in ("pipe", "terminal", "full disk", "closed from the start")]
)
def test_a_run_whose_console_is_lost_while_close_deletes_ends_as_if_nothing_were(
    lost: str, close: CloseAccount, start: Start
) -> None:
    reader, writer = os.openpty() if lost == "terminal" else os.pipe()
    match lost:
        case "full disk":
            run = start(*DELETING, stderr=os.open("/dev/full", os.O_WRONLY))
        case "closed from the start":
            shell = 'exec "$@" 2>&- <&-'
            run = start(*DELETING, before=("sh", "-c", shell, "sh"))
        case _:
            run = start(*DELETING, stderr=writer, start_new_session=True)
    os.close(writer)
    wait_until(close.is_asked_for_its_bulk_delete)
    os.close(reader)
    out, _ = run.communicate(timeout=120)

    assert run.returncode == 0
    assert '"outcome":"deleted"' in out
    assert len(out.splitlines()) == 1
    assert len(close.leads()) == 1


@pytest.mark.parametrize("words", [JUNK[:-1], ("run", "--help"), ("query", *JUNK[1:3])])
def test_a_pipe_that_is_closed_before_the_result_changes_no_exit_code_and_shows_no_traceback(
    words: tuple[str, ...], close: CloseAccount, start: Start
) -> None:
    """As `… | head -5` does, at its worst."""
    reader, writer = os.pipe()
    os.close(reader)
    process = start(*words, stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=120)

    assert (process.returncode, err) == (0, "")


def test_a_result_that_the_disk_has_no_room_for_is_an_error(start: Start) -> None:
    process = start("query", "--match.status", "Junk", stdout=os.open("/dev/full", os.O_WRONLY))
    process.communicate(timeout=120)

    assert process.returncode != 0


@MORE  # a row of the matrix shows it too
def test_a_hang_up_is_a_termination_and_the_run_goes_on_when_it_is_resumed(
    close: CloseAccount, start: Start, lead_cleanup: Command
) -> None:
    """The shell sends one to each of its jobs, and the terminal another one to the job in front."""
    close.jobs(leads_per_second=0.5)
    run = start(*DELETING)
    wait_until(close.is_asked_for_its_bulk_delete)
    run.send_signal(signal.SIGHUP)
    run.send_signal(signal.SIGHUP)
    _, err = run.communicate(timeout=120)
    crashed = newest_run()
    resumed = lead_cleanup("resume", str(crashed.id), "--json")

    assert run.returncode == 143, err
    assert f"`lead-cleanup resume {crashed.id}` continues what it may have started" in err
    assert "Traceback" not in err
    assert crashed.state_name == "Crashed"
    assert (resumed.code, resumed.json["outcome"]) == (0, "deleted")
    assert len(close.posts(BULK_DELETES)) == 1


@pytest.mark.exhaustive
def test_a_run_under_nohup_outlives_its_terminal(close: CloseAccount, start: Start) -> None:
    run = start(*DELETING, before=("nohup",))
    wait_until(close.is_asked_for_its_bulk_delete)
    run.send_signal(signal.SIGHUP)
    out, _ = run.communicate(timeout=120)

    assert run.returncode == 0
    assert '"outcome":"deleted"' in out


def test_the_streams_of_other_processes_survive_too() -> None:
    """What a child has inherited leads nowhere as well, once it was found to be broken."""
    script = (
        "import subprocess, sys; from flows.console.streams import survive_without_reader; survive_without_reader();"
        "print('x'); sys.exit(subprocess.run(['sh', '-c', 'echo y']).returncode)"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", script], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)

    assert (done.returncode, done.stderr) == (0, b"")
