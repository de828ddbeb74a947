"""Each guard of what this project promises, taken away: a test must fail. For `make test-all`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = [pytest.mark.server, pytest.mark.exhaustive, pytest.mark.timeout(600)]

HOUSE = Path(__file__).parent.parent
FURNITURE = ("flows", "tasks", "deployments", "tests", "pyproject.toml", "prefect.yaml")
TESTS = (
    *("tests/bulk_delete", "tests/runs", "tests/plan/test_checks.py", "tests/fundamentals"),
    "tests/cli/test_resume.py",
)
RECORDING = ("tests/bulk_delete/test_recording.py",)
BACKUP = ("tests/backup/test_make_backup.py", "tests/fundamentals/test_07_backup.py")
APPROVAL = ("tests/fundamentals/test_06_approval.py", "tests/approval/test_ask.py")
LIMITS = (
    *("tests/plan/test_checks.py", "tests/fundamentals/test_04_limits.py", "tests/fundamentals/test_05_ramp.py"),
    *("tests/test_lead_cleanup.py", "tests/plan/test_ramp.py"),
)
READING = ("tests/criteria/test_exported.py", *BACKUP)
RECONCILE = ("tests/report/test_report.py", "tests/bulk_delete/test_reconcile.py")
RESTORE = ("tests/restore/test_new_objects.py", "tests/restore", "tests/fundamentals/test_13_restore.py")
LOCKS = ("tests/backup/test_locks.py", "tests/backup/test_archive.py")


class Mutation(NamedTuple):
    """A guard, and how to take it away."""

    guard: str
    file: str
    was: str
    becomes: str
    tests: tuple[str, ...] = TESTS


MUTATIONS = [
    Mutation(
        "a claim is written down",
        "ledger/store.py",
        "            server.create_variable(VariableCreate(**_variable(record)))\n        except",
        "            pass\n        except",
    ),
    Mutation("a claim is known by its nonce", "bulk_delete/start.py", "if record.nonce != mine.nonce:", "if False:"),
    Mutation(
        "a write after the POST is repeated",
        "ledger/store.py",
        "repeat_write(lambda: _update(record, fields))",
        "_update(record, fields)",
        RECORDING,
    ),
    Mutation(
        "a repeated write reads the record again",
        "runs/connect.py",
        "            with _without_retries():",
        "            if True:",
        RECORDING,
    ),
    Mutation(
        "a run waits for what it could not record",
        "bulk_delete/start.py",
        'with log_if_it_fails(f"Recording that bulk delete {job.id} was started"):',
        "if True:",
        RECORDING,
    ),
    Mutation(
        "the answer of a withdrawn request is taken",
        "approval/ask.py",
        'server.create_flow_run_input(other.id, request.inputs["response"], declined.model_dump_json())',
        "pass",
        APPROVAL,
    ),
    Mutation(
        "a withdrawn request is looked at again",
        "approval/ask.py",
        "return _request_of(other.id) == request",
        "return True",
        APPROVAL,
    ),
    Mutation(
        "the record is read first", "bulk_delete/start.py", "    return ledger.read(run.id)\n", "    return None\n"
    ),
    Mutation(
        "a start is never retried",
        "bulk_delete/start.py",
        "@once\ndef start_bulk_delete(",
        "@reads\ndef start_bulk_delete(",
        ("tests/runs/test_retries.py",),
    ),
    Mutation(
        "a key that was replaced since the plan is noticed before the claim",
        "bulk_delete/start.py",
        "with connect(plan.organization_id, user_id=plan.user_id) as close, turn(",
        "with connect(plan.organization_id) as close, turn(",
        ("tests/runs/test_keys.py",),
    ),
    Mutation(
        "of a large backup too, ids are compared once few enough leads match",
        "bulk_delete/start.py",
        "        if backup is None or matching > LONGEST_SEARCH:",
        "        if True:",
        ("tests/bulk_delete/test_large_backup.py",),
    ),
    Mutation(
        "a key that has replaced another must be the same user's",
        "runs/connect.py",
        "    return other if other != settings and _known[other] == _known[settings] else None",
        "    return other",
        ("tests/runs/test_keys.py",),
    ),
    Mutation(
        "a run's organisation is that of its deployment",
        "runs/run.py",
        "    if wanted != found:",
        "    if False:",
        ("tests/deployments/test_three_organizations.py",),
    ),
    Mutation(
        "a look before the claim",
        "bulk_delete/start.py",
        "    jobs = close.bulk_deletes()\n    if",
        "    jobs = []\n    if",
    ),
    Mutation(
        "a look after ambiguity",
        "bulk_delete/start.py",
        'Looking for it.", error)\n        return search_until_visible(close, record)',
        'Looking for it.", error)\n        raise',
    ),
    Mutation(
        "the marks are compared",
        "bulk_delete/find.py",
        "return Counter(marks) <= Counter(instants_in(job.s_query))",
        "return True",
    ),
    Mutation(
        "both marks are compared",
        "bulk_delete/find.py",
        "return Counter(marks) <= Counter(instants_in(job.s_query))",
        "return bool({*marks} & {*instants_in(job.s_query)})",
    ),
    Mutation(
        "equal marks must be there twice",
        "bulk_delete/find.py",
        "return Counter(marks) <= Counter(instants_in(job.s_query))",
        "return {*marks} <= {*instants_in(job.s_query)}",
    ),
    Mutation(
        "text isn't a dry run's switch",
        "criteria/policy.py",
        "Switch = StrictBool",
        "Switch = bool",
        ("tests/runs/test_wrong_parameters.py",),
    ),
    Mutation(
        "a worker's run with missing or unknown parameters is refused",
        "runs/parameters.py",
        "flow_engine._flow_parameters = _as_given",
        "flow_engine._flow_parameters = _bind",
        ("tests/runs/test_wrong_parameters.py",),
    ),
    Mutation("two marks, from different digits", "runs/run.py", "run_id.int // 1000 % 1000", "run_id.int % 1000"),
    Mutation("the query has both marks", "criteria/selection.py", "self.updated_before or self.as_of", "self.as_of"),
    Mutation("the author is compared", "bulk_delete/find.py", " or job.created_by not in {None, plan.user_id}", ""),
    Mutation(
        "the organisation is compared",
        "bulk_delete/find.py",
        "job.organization_id not in {None, plan.organization_id} or ",
        "",
    ),
    Mutation(
        "the query is compared",
        "bulk_delete/find.py",
        "if not plan.has_query(job.s_query or {}):",
        "if False:",
    ),
    Mutation(
        "a claim is settled only by what agrees in everything",
        "bulk_delete/start.py",
        "        job = bulk_delete_of(other, jobs)\n",
        "        from tasks.bulk_delete.find import has_marks\n\n"
        "        job = next((each for each in jobs if has_marks(each, other.marks)), None)\n",
    ),
    Mutation(
        "queries are compared by instants",
        "close/query/rewrite.py",
        "if as_spelled else _as_we_spell_it",
        "if True else _as_we_spell_it",
        ("tests/close/test_rewrite.py",),
    ),
    Mutation(
        "the start is not retried",
        "runs/retries.py",
        "task_run_name=words, retries=0,",
        "task_run_name=words, retries=1,",
    ),
    Mutation(
        "the transport sends a start once",
        "close/transport.py",
        "(error.nothing_started or not once)",
        "True",
    ),
    Mutation(
        "another's claim stands in the way",
        "bulk_delete/start.py",
        "if job is None or not is_over(job):",
        "if False:",
    ),
    Mutation(
        "an unfinished bulk delete stands in the way",
        "bulk_delete/find.py",
        "if not is_over(job) and not",
        "if False and not",
    ),
    Mutation(
        "a copy that is superseded claims nothing",
        "bulk_delete/start.py",
        "            stop.check()\n        check_latest(run)\n",
        "            stop.check()\n",
    ),
    Mutation(
        "a copy that is superseded seals no backup",
        "backup/make_backup.py",
        "        check_latest(run)  # a later attempt's backup must not be replaced by an earlier one's\n",
        "",
        ("tests/bulk_delete/test_superseded.py",),
    ),
    Mutation(
        "the latest attempt speaks for the run",
        "report/ending.py",
        "            check_latest(self.run)\n",
        "            pass\n",
    ),
    Mutation(
        "a claim ages while the machine sleeps",
        "bulk_delete/start.py",
        " or record.age_seconds > CLAIM_SECONDS",
        "",
    ),
    Mutation(
        "a process that holds its lock lives",
        "runs/alive.py",
        "        return False\n",
        "        return True\n",
    ),
    Mutation(
        "the leads are counted a last time",
        "bulk_delete/start.py",
        "    if matching > (backup",
        "    if False and (backup",
    ),
    Mutation(
        "the stop is read right before the claim",
        "bulk_delete/start.py",
        "        if seen.started is None:\n            stop.check()\n",
        "",
    ),
    Mutation(
        "a run that a person has suspended claims nothing",
        "bulk_delete/start.py",
        "    if state and is_suspended(state):\n        raise Suspended\n",
        "",
    ),
    Mutation(
        "an automation doesn't continue what a person has suspended",
        "bulk_delete/attempt.py",
        "if left_suspended(states):",
        "if False:",
    ),
    Mutation(
        "a process that is terminated without a cancel leaves Close alone",
        "bulk_delete/interrupted.py",
        "if state is None or not (state.is_cancelling() or state.is_cancelled()):",
        "if state is None:",
    ),
    Mutation(
        "the backup is counted",
        "backup/make_backup.py",
        "            check_complete(close, plan, written.leads)\n",
        "            pass\n",
        BACKUP,
    ),
    Mutation("the backup is read back", "backup/make_backup.py", "        archive.verify(manifest)\n", "", BACKUP),
    Mutation(
        "a copy that comes late throws its backup away",
        "backup/make_backup.py",
        "if other and not other.may_plan_again:",
        "if False:",
        BACKUP,
    ),
    Mutation(
        "what is not in the backup is not deleted",
        "bulk_delete/start.py",
        "backup.leads if backup else planned",
        "planned",
        BACKUP,
    ),
    Mutation(
        "an approval is by the number planned",
        "approval/ask.py",
        "    if given.leads != request.planned:\n        if open_still",
        "    if False:\n        if open_still",
        APPROVAL,
    ),
    Mutation(
        "an approval is for the query shown",
        "approval/ask.py",
        "self.digest in {plan.digest, plan.digest_by_0_1} and ",
        "",
        APPROVAL,
    ),
    Mutation(
        "an approval is for no more leads", "approval/ask.py", " and plan.counts.planned <= self.planned", "", APPROVAL
    ),
    Mutation(
        "the number expected is no approval of a deployment's run",
        "approval/ask.py",
        "_given_here(plan, expect) if run.deployment_id is None else",
        "_given_here(plan, expect) if expect else",
        APPROVAL,
    ),
    Mutation("no more than max_leads", "plan/checks.py", "    if planned > limits.max_leads:", "    if False:", LIMITS),
    Mutation(
        "no more than max_share",
        "plan/checks.py",
        "    if planned > SMALL_PLAN and share > limits.max_share:",
        "    if False:",
        LIMITS,
    ),
    Mutation("never every lead", "plan/checks.py", "    if counts.planned >= counts.total:", "    if False:", LIMITS),
    Mutation("the numbers must add up", "plan/checks.py", "    if not counts.add_up:", "    if False:", LIMITS),
    Mutation("the number expected", "plan/checks.py", " and counts.planned != expect:", " and False:", LIMITS),
    Mutation(
        "a new cleanup starts small",
        "plan/make_plan.py",
        "read_ramp(run, organization_id, digest_of_criteria).most if limits.ramp else None",
        "None",
        LIMITS,
    ),
    Mutation(
        "other criteria are new",
        "plan/ramp.py",
        "Ramp.model_validate(found.value)).criteria == criteria",
        "Ramp.model_validate(found.value))",
        LIMITS,
    ),
    Mutation(
        "the ramp is no way past the limits",
        "plan/checks.py",
        "    return counts.without_ramp(limits.batch) if ramped else counts",
        "    return counts",
        LIMITS,
    ),
    Mutation("Close's clock", "plan/checks.py", "    if as_of > now + TOLD_LATE:", "    if False:", LIMITS),
    Mutation(
        "each exported lead is read again",
        "criteria/reading.py",
        "            if contradicts(lead):",
        "            if False:",
        READING,
    ),
    Mutation(
        "what matches at the start is in the backup",
        "bulk_delete/start.py",
        "        check_in_backup(ids, plan, backup, whole=limits_now is not None)",
        "        pass",
        BACKUP,
    ),
    Mutation(
        "no more than planned in the backup",
        "backup/make_backup.py",
        "    if leads > planned:",
        "    if False:",
        BACKUP,
    ),
    Mutation(
        "more deleted than planned",
        "bulk_delete/reconcile.py",
        "    if processed > planned:",
        "    if False:",
        RECONCILE,
    ),
    Mutation("leads that still match", "bulk_delete/reconcile.py", "    if remaining:", "    if False:", RECONCILE),
    Mutation(
        "leads that are in no backup",
        "bulk_delete/reconcile.py",
        "    if log and log.not_in_backup:",
        "    if False:",
        RECONCILE,
    ),
    Mutation(
        "in the end the whole event log is read",
        "bulk_delete/reconcile.py",
        "            deletions.read(close)\n",
        "",
        RECONCILE,
    ),
    Mutation(
        "more in the log than Close says",
        "bulk_delete/reconcile.py",
        "    if log and log.deleted > processed:",
        "    if False:",
        RECONCILE,
    ),
    Mutation(
        "a backup of another organisation",
        "restore/plan.py",
        "    if (its := archive.manifest.organization_id) != organization_id:",
        "    if False:",
        RESTORE,
    ),
    Mutation("a backup that was changed is not restored", "restore/plan.py", "    archive.verify()\n", "", RESTORE),
    Mutation(
        "what is missing stops a restore",
        "restore/plan.py",
        'if plan.mapping.missing and missing == "stop":',
        "if False:",
        RESTORE,
    ),
    Mutation(
        "what is there is passed over",
        "restore/plan.py",
        "elif lead_id not in found.deleted and close.lead(lead_id) is not None:",
        "elif False:",
        RESTORE,
    ),
    Mutation(
        "what is there again is passed over",
        "restore/create.py",
        'if lead["id"] in plan.found.deleted and close.lead(lead["id"]) is not None:',
        "if False:",
        RESTORE,
    ),
    Mutation(
        "what was made is not made again",
        "restore/create.py",
        'if last is not None and last.step == "created":',
        "if False:",
        RESTORE,
    ),
    Mutation(
        "what was intended is looked for",
        "restore/create.py",
        'if last is not None and last.step == "intended" else None',
        "if False else None",
        RESTORE,
    ),
    Mutation(
        "an SMS that waits becomes a draft",
        "restore/new_objects.py",
        '{"status": status if status in SAFE_SMS else "draft"}',
        '{"status": status or "draft"}',
        RESTORE,
    ),
    Mutation("a call is an external one", "restore/new_objects.py", ' | {"source": "External"}', "", RESTORE),
    Mutation(
        "the last look before each POST",
        "restore/new_objects.py",
        "    if not silent.get(kind, True) or SENDING & set(body):",
        "    if False:",
        RESTORE,
    ),
    Mutation(
        "two restores do not run at once",
        "restore/create.py",
        '        locked(archive, "a restore", patience=TAKES_OVER_WITHIN if own.attempt > 1 else 0.0) as check,\n'
        "        journal.opened(check),\n",
        "        journal.opened(lambda: None),\n",
        RESTORE,
    ),
    Mutation(
        "a restore takes no lead for its own that another has created",
        "restore/create.py",
        "known = self.theirs.union(self.journal.new.values())",
        "known = set(self.journal.new.values())",
        RESTORE,
    ),
    Mutation(
        "what another restore has created since the plan is passed over",
        "restore/create.py",
        'if restored_from(others, close, lead["id"]):',
        "if False:",
        RESTORE,
    ),
    Mutation(
        "a restore looks whether it still holds the lock",
        "restore/journal.py",
        "        self.check = check\n",
        "",
        ("tests/backup/buckets/test_at_once.py",),
    ),
    Mutation(
        "nobody is forgotten while their lead may be restored",
        "backup/forget.py",
        '    with locked(archive, "an erasure") as check:\n',
        "    check = lambda: None\n    if True:\n",
        LOCKS,
    ),
    Mutation(
        "what is restored is not pruned",
        "backup/prune.py",
        '            with locked(archive, "a deletion of old backups"):\n',
        "            if True:\n",
        LOCKS,
    ),
    Mutation(
        "what an open claim needs is not pruned",
        "backup/prune.py",
        "if run_of(archive) in stay:",
        "if False:",
        BACKUP,
    ),
    Mutation(
        "a dead lock is deleted by its id",
        "backup/lease.py",
        "                delete_variable(server, found.id)\n",
        "                server.delete_variable_by_name(self._name)\n",
        LOCKS,
    ),
    Mutation(
        "a lock is known by its nonce",
        "backup/lease.py",
        "if holder.nonce == self._lease.nonce:",
        "if True:",
        LOCKS,
    ),
    Mutation(
        "a lock that has nearly ended is not relied on",
        "backup/lease.py",
        "if now > self._lease.until - STOP_BEFORE:",
        "if False:",
        LOCKS,
    ),
    Mutation("a mount needs somebody's word", "backup/place.py", "if lasts and mount and", "if mount and", LOCKS),
    Mutation(
        "memory and a container's layers never last",
        "backup/place.py",
        "if lasts and mount and mount.kind not in NEVER_LAST:",
        "if lasts and mount:",
        LOCKS,
    ),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The house, to break something in."""
    for each in FURNITURE:
        source, target = HOUSE / each, tmp_path / each
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return tmp_path


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.guard)
def test_without_a_guard_a_test_fails(mutation: Mutation, copy: Path) -> None:
    file = copy / "tasks" / mutation.file
    text = file.read_text()
    assert mutation.was in text, "the guard is written otherwise now: say here how to take it away"
    file.write_text(text.replace(mutation.was, mutation.becomes))

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *mutation.tests],
        cwd=copy,
        env={name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PREFECT_"))},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stdout[-2000:]
    assert " failed" in done.stdout
