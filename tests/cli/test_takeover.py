"""``resume`` takes over a run whose process is gone, leaves one that lives, and asks where it can't know.

A copy that was only asleep finds itself superseded when it wakes up.
"""

import os
import random
import signal
import subprocess
import time
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.states import Crashed
from support.attempts import start_again, wait_until
from support.close_account import CloseAccount, lead
from support.terminal_processes import DELETING, JUNK, Start, newest_id, run_of
from support.terminal_session import Command

from tasks.backup.archive import Archive
from tasks.ledger import store as ledger

pytestmark = [
    pytest.mark.server,
    pytest.mark.system,
    pytest.mark.usefixtures("empty_ledger"),
    pytest.mark.timeout(600),
]

ALWAYS, MOMENTS = 1, 10
BULK_DELETES = "/bulk_action/delete/"


@pytest.fixture
def close(sandbox: CloseAccount) -> CloseAccount:
    """Six leads to delete."""
    sandbox.add(*(lead(name, "Junk") for name in "ABCDEF"), lead("G"))
    sandbox.jobs(leads_per_second=2)
    return sandbox


def deleting(close: CloseAccount, start: Start, *words: str) -> tuple["subprocess.Popen[str]", UUID]:
    """A process whose bulk delete Close has begun, and its run."""
    known = newest_id()
    process = start(*(words or DELETING))
    run_id = run_of(process, known)
    wait_until(close.is_asked_for_its_bulk_delete)
    return process, run_id


def killed(process: "subprocess.Popen[str]") -> None:
    """Kill it, and free the organisation's turn if it held that, as a Prefect server does when its lease ends."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    with get_client(sync_client=True) as prefect:
        for limit in prefect.read_global_concurrency_limits():
            prefect.update_global_concurrency_limit(limit.name, GlobalConcurrencyLimitUpdate(active_slots=0))


def relabelled(run_id: UUID, **labels: str) -> None:
    """Change what the run's labels say of its process."""
    with get_client(sync_client=True) as prefect:
        prefect.update_flow_run_labels(run_id, {f"process.{name}": value for name, value in labels.items()})


@pytest.mark.parametrize(
    "seed", [pytest.param(n, marks=[pytest.mark.exhaustive] if n >= ALWAYS else []) for n in range(MOMENTS)]
)
def test_killed_at_any_moment_a_run_is_taken_over_and_deletes_once(
    seed: int, close: CloseAccount, start: Start, lead_cleanup: Command
) -> None:
    """Only between the claim and the POST it isn't known whether Close deletes, and a person has to say so."""
    known = newest_id()
    process = start(*DELETING)
    run_id = run_of(process, known)
    time.sleep(random.Random(seed).uniform(0, 6))
    killed(process)
    resumed = lead_cleanup("resume", str(run_id), "--json")
    if resumed.code == 5:
        assert close.posts(BULK_DELETES) == []
        start_again(run_id)
    elif resumed.code == 3:
        assert "is Deleted" in resumed.err
    reported = lead_cleanup("report", str(run_id), "--json")

    assert (reported.code, reported.json["outcome"]) == (0, "deleted"), resumed.err
    assert len(close.posts(BULK_DELETES)) == 1
    assert len(close.leads()) == 1


def test_a_run_that_lives_is_left_alone_and_only_its_bulk_delete_is_resumed(
    close: CloseAccount, start: Start, lead_cleanup: Command
) -> None:
    close.jobs(leads_per_second=0.3)
    process, run_id = deleting(close, start)
    [job] = close.get(BULK_DELETES)["data"]
    close.put(f"{BULK_DELETES}{job['id']}/", status="paused")
    resumed = lead_cleanup("resume", str(run_id))
    out, _ = process.communicate(timeout=120)

    assert resumed.code == 0
    assert f"Run {run_id} is Running in a process that lives on this machine, and keeps waiting." in resumed.err
    assert (process.returncode, len(close.posts(BULK_DELETES))) == (0, 1)
    assert '"outcome":"deleted"' in out


@pytest.mark.exhaustive
def test_of_a_run_of_another_machine_a_person_has_to_say_that_its_process_is_gone(
    close: CloseAccount, start: Start, lead_cleanup: Command
) -> None:
    """Without a terminal nobody is asked: exit 3. Anything but yes changes nothing."""
    process, run_id = deleting(close, start)
    killed(process)
    relabelled(run_id, host="mars", machine="another", boot="another")

    unasked = lead_cleanup("resume", str(run_id))
    declined = answered(start, run_id, "no")
    confirmed = answered(start, run_id, "yes")

    unasked.is_one_line(f"Run {run_id} is Running: it was executed on mars, and last heard of at ", code=3)
    assert declined[0] == 3
    assert "Nothing was changed" in declined[1]
    assert confirmed[0] == 0, confirmed[1]
    assert len(close.posts(BULK_DELETES)) == 1
    assert len(close.leads()) == 1


@pytest.mark.exhaustive
def test_of_a_run_that_no_record_places_a_person_has_to_say_it_too(
    close: CloseAccount, start: Start, lead_cleanup: Command
) -> None:
    """As one that another program than this command line executes, or whose lock somebody deleted."""
    process, run_id = deleting(close, start)
    killed(process)
    relabelled(run_id, lock="/nowhere")

    lead_cleanup("resume", str(run_id)).is_one_line("Whether its process still lives can't be seen from here.", code=3)


def answered(start: Start, run_id: UUID, word: str) -> tuple[int, str]:
    """The exit code of `resume` at a terminal where a person types *word*, and what the terminal shows."""
    mine, theirs = os.openpty()
    process = start("resume", str(run_id), stdin=theirs, stderr=theirs)
    os.close(theirs)
    shown = ""
    while "anything else stops" not in shown:
        shown += os.read(mine, 1000).decode()
    os.write(mine, f"{word}\n".encode())
    try:
        while more := os.read(mine, 1000).decode():
            shown += more
    except OSError:  # the process has ended
        pass
    os.close(mine)
    return process.wait(120), shown


# Where the first copy of a run falls asleep: by the request whose answer it waits for, after so many others like it.
ASLEEP: dict[str, tuple[str, str, int]] = {
    "while it plans": ("POST", "/data/search/", 2),
    "while it exports": ("GET", "/export/", 0),
    "while it waits": ("GET", f"{BULK_DELETES}bulkdelete_", 0),
}


@pytest.mark.parametrize(
    ("asleep", "wakes"),
    [pytest.param(*both, marks=pytest.mark.exhaustive) for both in product(ASLEEP, ["afterwards", "meanwhile"])],
)
def test_a_copy_that_was_asleep_finds_itself_superseded_when_it_wakes_up(
    asleep: str, wakes: str, close: CloseAccount, start: Start, lead_cleanup: Command
) -> None:
    """Of two copies that live, one starts, one has a whole backup, and the later one says how the run ended."""
    method, path, after = ASLEEP[asleep]
    close.fault(method, path, "delay", after=after, seconds=5)
    known = newest_id()
    first = start(*JUNK, "--json")
    run_id = run_of(first, known)
    wait_until(lambda: number_of(close, method, path) > after)
    first.send_signal(signal.SIGSTOP)
    with get_client(sync_client=True) as prefect:  # as a person does in the Prefect UI
        prefect.set_flow_run_state(run_id, Crashed(), force=True)
    second = start("resume", str(run_id), "--json")
    if wakes == "meanwhile":
        wait_until(lambda: attempt_of(run_id) == 2)
        first.send_signal(signal.SIGCONT)
    out, err = second.communicate(timeout=300)
    first.send_signal(signal.SIGCONT)
    first_out, first_err = first.communicate(timeout=120)

    assert second.returncode == 0, err
    assert '"outcome":"deleted"' in out
    assert (first.returncode, first_out) == (1, "")
    assert f"Attempt 2 of run {run_id} has taken over from this one, which ends here." in first_err
    assert len(close.posts(BULK_DELETES)) == 1
    assert len(close.leads()) == 1
    reported = lead_cleanup("report", str(run_id), "--json")
    assert (reported.code, reported.json["outcome"], reported.json["planned"]) == (0, "deleted", 6)
    assert_whole(reported.json["backup"])
    assert "`lead-cleanup report" in lead_cleanup("resume", str(run_id)).err
    record = ledger.read(run_id)
    assert record
    assert (record.claim, record.ended) == (1, "done")


def assert_whole(backup: str) -> None:
    """It has all leads, in one file."""
    archive = Archive.at(backup)
    archive.verify()
    assert archive.manifest.leads == 6
    assert archive.lead_files() == [archive.manifest.file]
    assert Path(archive.path).is_dir()


def number_of(close: CloseAccount, method: str, path: str) -> int:
    """How many requests like that Close has got."""
    return sum(each["method"] == method and each["path"].startswith(path) for each in close.requests())


def attempt_of(run_id: UUID) -> Any:
    with get_client(sync_client=True) as prefect:
        return prefect.read_flow_run(run_id).run_count
