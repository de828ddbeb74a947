"""A restore, an erasure and pruning at once, each a process of its own, of one backup in a folder or in a bucket."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from backup.buckets.local_s3 import LocalS3
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import VariableUpdate
from restore.backups import delete, export, write
from support.close_account import CloseAccount, lead

from tasks.backup.archive import Archive
from tasks.backup.lease import EXTEND_AFTER, PREFIX

pytestmark = [pytest.mark.exhaustive, pytest.mark.server, pytest.mark.xdist_group("bucket")]

CHECKOUT = Path(__file__).parents[3]
SEEDS = int(os.environ.get("CHAOS_SEEDS", "20"))
STORAGE = ["folder", "bucket"]
ANN = "ann@example.com"
RESTORE = ("restore", "BACKUP", "--no-dry-run", "--json")
FORGET, PRUNE = ("backups", "--forget", ANN), ("backups", "--prune")


class Ended(NamedTuple):
    """What a process did: its command, its exit code (negative after a signal), what it printed, and when it ended."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str
    posts: int
    """How many leads had been sent to Close by then."""


class Several:
    """Processes of the command line that run at once."""

    def __init__(self, sandbox: CloseAccount, prefect_server: str, url: str) -> None:
        self._sandbox = sandbox
        self._env = {**os.environ, "PREFECT_API_URL": prefect_server}
        self._url = url
        self._running: list[tuple[tuple[str, ...], subprocess.Popen[str]]] = []

    def start(self, *words: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "flows", *(self._url if each == "BACKUP" else each for each in words)]
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._running.append((words, process))
        return process

    def ended(self) -> Iterator[Ended]:
        """Each of them, as it ends."""
        while self._running:
            for each in [*self._running]:
                words, process = each
                if process.poll() is not None:
                    self._running.remove(each)
                    posts = self.posts()
                    out, err = process.communicate()
                    yield Ended(words, process.returncode, out, err, posts)
            time.sleep(0.02)

    def posts(self) -> int:
        return len(self._sandbox.posts("/lead/"))

    def kill(self) -> None:
        for _, process in self._running:
            process.kill()
            process.communicate()


@pytest.fixture
def root(request: pytest.FixtureRequest, tmp_path: Path, s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where backups are: a folder, or a bucket."""
    url = str(tmp_path / "backups") if request.param == "folder" else "s3://backups/close"
    monkeypatch.setenv("CLOSE_BACKUP_URL", url)
    return url


@pytest.fixture
def backup(sandbox: CloseAccount, root: str, empty_ledger: None) -> Archive:
    """An expired backup, settled by its report, of leads that are gone: one is Ann's. Making one takes a while."""
    sandbox.add(*(lead(f"lead {number}") for number in range(8)))
    sandbox.add(lead("Ann's", contacts=[{"name": "Ann", "emails": [{"email": ANN, "type": "office"}]}]))
    organization_id, run_id = sandbox.get("/status/lead/")["data"][0]["organization_id"], str(uuid4())
    archive = Archive.at(f"{root}/{organization_id}/{run_id}")
    leads = sorted(export(sandbox), key=lambda each: str(each["name"]) == "Ann's")
    over = datetime.now(UTC) - timedelta(days=1)
    write(archive, leads, organization_id, run_id, keep_until=over)
    archive.write("report.json", '{"outcome": "deleted"}')
    delete(sandbox)
    sandbox.forget_requests()
    sandbox.fault("POST", "/lead/", "delay", times=1000, seconds=0.2)
    return archive


@pytest.fixture
def several(sandbox: CloseAccount, prefect_server: str, backup: Archive) -> Iterator[Several]:
    several = Several(sandbox, prefect_server, backup.url)
    with ExitStack() as stack:
        stack.callback(several.kill)
        yield several


@pytest.fixture
def restore(prefect_server: str, fake_clock: object) -> Callable[..., Any]:
    from flows.restore_leads import restore_leads
    from tasks.report.ending import report_of

    def run(url: str) -> Any:
        return report_of(restore_leads(url, dry_run=False, return_state=True))

    return run


def names(sandbox: CloseAccount) -> Counter[str]:
    return Counter(str(each["name"]) for each in sandbox.leads().values())


def let_locks_run_out() -> None:
    """As if a quarter of an hour had passed."""
    with get_client(sync_client=True) as prefect:
        for found in prefect.read_variables():
            if found.name.startswith(PREFIX):
                assert isinstance(found.value, dict)
                over = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
                prefect.update_variable(VariableUpdate(name=found.name, value={**found.value, "until": over}))


def wait(process: "subprocess.Popen[str]", condition: Callable[[], object]) -> None:
    """Until the condition holds, or the process has ended."""
    while process.poll() is None and not condition():
        time.sleep(0.02)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("root", STORAGE, indirect=True)
def test_whatever_mixes_nothing_is_made_twice_and_nobody_forgotten_anew_and_nothing_pruned_while_it_is_restored(
    seed: int, sandbox: CloseAccount, backup: Archive, several: Several, restore: Callable[..., Any]
) -> None:
    chance = random.Random(seed)
    commands = [RESTORE, RESTORE, FORGET, *([FORGET] if chance.random() < 0.3 else []), PRUNE]
    chance.shuffle(commands)
    victim = several.start(*commands[0]) if commands[0] == RESTORE else None
    for each in commands[1 if victim else 0 :]:
        if victim and chance.random() < 0.5:
            wait(victim, several.posts)
        several.start(*each)
    if victim and chance.random() < 0.5:
        wait(victim, lambda: several.posts() > 2)
        victim.kill()

    forgotten = pruned = False
    anns = posts = 0
    for each in several.ended():
        assert max(names(sandbox).values(), default=1) == 1, each
        assert each.code in {0, 3, -signal.SIGKILL}, each
        if each.words == FORGET and each.code == 0 and not forgotten:
            forgotten, anns = True, names(sandbox)["Ann's"]
        if each.words == PRUNE and each.out.startswith("Deleted 1 old backup."):
            pruned, posts = True, each.posts
        if each.words == RESTORE and each.code == 0 and json.loads(each.out)["outcome"] == "restored":
            assert len(names(sandbox)) >= 8, each
    let_locks_run_out()
    last = restore(backup.url)

    made = names(sandbox)
    assert max(made.values(), default=1) == 1
    assert not forgotten or made["Ann's"] == anns
    assert not pruned or several.posts() <= posts + (victim is not None)  # what was killed may have just sent one
    assert last.outcome == ("refused" if pruned else last.outcome)
    assert pruned or set(made) >= {f"lead {number}" for number in range(8)}, last


@pytest.mark.parametrize("root", ["bucket"], indirect=True)
def test_a_restore_that_slept_past_its_lock_creates_nothing_more_and_who_was_forgotten_stays_so(
    sandbox: CloseAccount, backup: Archive, several: Several, restore: Callable[..., Any]
) -> None:
    """It is stopped while it makes a lead, its lock runs out, an erasure is done: then it wakes up."""
    sleeper = several.start(*RESTORE)
    wait(sleeper, lambda: several.posts() > 2)
    sleeper.send_signal(signal.SIGSTOP)
    let_locks_run_out()

    several.start(*FORGET)
    erasure = next(several.ended())
    assert (erasure.code, "Forgotten: 1 lead, from 1 of " in erasure.out) == (0, True), erasure
    begun = several.posts()
    time.sleep(EXTEND_AFTER.total_seconds())  # it only sleeps past this, not past the whole lease
    sleeper.send_signal(signal.SIGCONT)
    woken = next(several.ended())

    assert several.posts() == begun
    assert (woken.code, "The lock of" in json.loads(woken.out)["message"]) == (1, True), woken
    assert restore(backup.url).outcome == "restored"
    assert names(sandbox) == {f"lead {number}": 1 for number in range(8)}


@pytest.mark.parametrize("root", ["bucket"], indirect=True)
def test_two_restores_of_one_backup_in_a_bucket_make_everything_once(
    sandbox: CloseAccount, backup: Archive, several: Several
) -> None:
    several.start(*RESTORE)
    several.start(*RESTORE)

    outcomes = {str(json.loads(each.out)["outcome"]) for each in several.ended()}

    assert outcomes in ({"restored", "refused"}, {"restored", "nothing_to_do"})
    assert names(sandbox) == {**{f"lead {number}": 1 for number in range(8)}, "Ann's": 1}
