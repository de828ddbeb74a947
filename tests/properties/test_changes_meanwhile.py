"""People go on working while a run plans, backs up and starts: what it deletes is still what its plan showed.

A seed decides which leads there are, what people do to them, and at which step.
"""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.attempts import wait_until
from support.close_account import CloseAccount, lead

from tasks.backup.archive import Archive

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("fake_clock")]

ALWAYS, SEEDS = 1, 40
STEPS = [("POST", "/export/lead/"), ("GET", "/bulk_action/delete/")]
"""The requests that wait for their answers while somebody works: after the plan, and after the backup."""
OPEN = {"opportunities": [{"status_type": "active"}]}


def seeds() -> list[Any]:
    """The first few are for `make test`, the rest for `make test-all`."""
    return [pytest.param(seed, marks=[pytest.mark.exhaustive] if seed >= ALWAYS else []) for seed in range(SEEDS)]


@pytest.mark.parametrize("seed", seeds())
def test_what_is_deleted_was_planned_unchanged_unprotected_and_in_the_backup(
    seed: int, sandbox: CloseAccount, run_cleanup: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLOSE_BACKUP_URL", str(tmp_path / "backups"))
    chance = random.Random(seed)
    sandbox.behaviour(matching=chance.choice(["at_loading", "at_processing"]))
    sandbox.jobs(leads_per_second=chance.choice([20, 5000]))
    junk = set(sandbox.add(*(lead(f"junk {number}", "Junk") for number in range(chance.randint(2, 8)))))
    kept = set(sandbox.add(*(lead(f"kept {number}", "Junk", **OPEN) for number in range(3)), lead("other")))
    statuses = {each["label"]: each["id"] for each in sandbox.get("/status/lead/")["data"]}
    method, path = chance.choice(STEPS)
    changed: set[str] = set()

    def work() -> None:
        wait_until(lambda: any((each["method"], each["path"]) == (method, path) for each in sandbox.requests()))
        for lead_id in chance.sample(sorted(junk), chance.randint(0, len(junk))):
            sandbox.put(
                f"/lead/{lead_id}/", **chance.choice([{"name": "kept after all"}, {"status_id": statuses["Customer"]}])
            )
            changed.add(lead_id)
        for lead_id in chance.sample(sorted(kept), chance.randint(0, 2)):
            sandbox.put(f"/lead/{lead_id}/", description="looked at", status_id=statuses["Junk"])
        for number in range(chance.randint(0, 3)):
            kept.add(sandbox.post("/lead/", name=f"new {number}", status_id=statuses["Junk"])["id"])

    sandbox.fault(method, path, "delay", seconds=2.0)
    somebody = threading.Thread(target=work)
    somebody.start()
    report = run_cleanup(match={"status": ["Junk"]}, limits={"max_share": 1.0}, dry_run=False).report
    somebody.join()

    gone = (junk | kept) - set(sandbox.leads())
    assert report.outcome == ("deleted" if junk - changed else "nothing_to_do")
    assert gone == junk - changed
    assert gone <= {each["id"] for each in Archive.at(report.backup).leads()}
