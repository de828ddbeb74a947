"""What a newer version has written is refused in one sentence; what can't be read hides nothing else.

Somebody goes back to this version, or two machines are upgraded one after the other. The tests raise the version that
this code itself writes, so they hold for every format; where one says no version, there is nothing to raise, and the
test fails.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from support.close_account import CloseAccount, lead
from support.variations import first
from upgrades.conftest import Command, bulk_deletes, tried_again_by_automation, variables
from upgrades.kept import BULK_DELETE, Json, artifacts_of, change_artifact, put_back

from deployments.sandbox.organization import OTHER, SANDBOX

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger", "fake_clock")]

WRITTEN = Path(__file__).parent / "written_by_0_1"
JUNK = ("run", "--match.status", "Junk", "--no-dry-run", "--limits.max-share", "1", "--json")
NEWER = "newer version"
REFUSALS = {1, 3, 5}
NOT_DELETED = {"failed", "refused", "unknown"}
"""Which of them it is depends on whether the run may have started something."""


def is_one_sentence(text: str, thing: str) -> bool:
    """Whether *text* names the *thing*, says that a newer version wrote it, and is one sentence on one line."""
    return thing in text and NEWER in text and "\n" not in text.strip() and ". " not in text


def refusal(report: Json) -> str:
    """What the report of a run says, but for where its backup is."""
    return str(report["message"]).partition(" The backup of ")[0]


def newer(value: Json) -> Json:
    """The same, as a version to come would write it: with fields of which nobody has heard."""
    assert isinstance(value.get("version"), int), "it says no version"
    return {**value, "version": value["version"] + 1, "of_the_future": {"more": [1, 2]}}


@pytest.fixture
def unknown(call: Command, sandbox: CloseAccount, backups: Path) -> str:
    """The id of a run of this very code that has claimed and whose POST was lost."""
    sandbox.add(lead("Acme Anvils", "Junk"), lead("Bolt Works"))
    sandbox.fault("POST", BULK_DELETE, "drop_before")
    said = call(*JUNK)
    assert said.json["outcome"] == "unknown"
    sandbox.forget_requests()
    return str(said.json["flow_run_id"])


def change_record(run: str, change: Callable[[Json], Any]) -> str:
    """Have the run's record be another one; gives the Variable's name."""
    name = f"lead_cleanup_run_{run}"
    with get_client(sync_client=True) as prefect:
        found = prefect.read_variable_by_name(name)
        assert found
        assert isinstance(found.value, dict)
        prefect.update_variable(VariableUpdate(name=name, value=change(deepcopy(found.value)), tags=found.tags))
    return name


# --- The record -------------------------------------------------------------------------------------------------------


# At 0.1: the version is written, and nobody reads it; the run goes on by what it understands.
@pytest.mark.parametrize("words", first(1, [["resume", "--start-again"], ["resume"], ["ledger", "--give-up"]]))
def test_a_record_of_a_newer_version_is_refused(
    call: Command, sandbox: CloseAccount, unknown: str, words: list[str]
) -> None:
    change_record(unknown, newer)

    said = call(*words, unknown)

    # Whether the command refuses, or the run goes on here and says so in its report: it is one sentence.
    lines = (said.out + said.err).splitlines()
    assert (said.code in REFUSALS, bulk_deletes(sandbox)) == (True, 0)
    assert any(is_one_sentence(each, unknown) for each in lines), lines


# At 0.1: as above.
def test_an_attempt_that_finds_a_record_of_a_newer_version_starts_nothing_and_says_so(
    call: Command, sandbox: CloseAccount, unknown: str
) -> None:
    change_record(unknown, newer)

    tried_again_by_automation(unknown)

    said = call("report", unknown, "--json").json
    assert (said["outcome"] in NOT_DELETED, sandbox.writes()) == (True, [])
    assert is_one_sentence(refusal(said), unknown), said["message"]


# At 0.1: as above.
def test_a_record_of_a_newer_version_stops_other_runs_in_its_organisation(
    call: Command, sandbox: CloseAccount, unknown: str
) -> None:
    change_record(unknown, newer)

    said = call(*JUNK)

    assert (said.code in REFUSALS, bulk_deletes(sandbox)) == (True, 0)
    assert is_one_sentence(refusal(said.json), unknown), said.json["message"]


# --- The plan ---------------------------------------------------------------------------------------------------------


# At 0.1: the plan stands in the text of its artifact, without a version.
def test_a_plan_of_a_newer_version_is_refused(call: Command, sandbox: CloseAccount, unknown: str) -> None:
    changed = 0
    for artifact in artifacts_of(unknown):
        data = artifact["data"]
        value: Any = json.loads(data) if isinstance(data, str) and data.startswith("{") else data
        if isinstance(value, dict) and "version" in value:
            raised = newer(cast("Json", value))
            change_artifact(artifact["id"], json.dumps(raised) if isinstance(data, str) else raised)
            changed += 1
    assert changed, "no artifact of the run says a version"

    tried_again_by_automation(unknown)

    said = call("report", unknown, "--json").json
    assert (said["outcome"] in NOT_DELETED, bulk_deletes(sandbox)) == (True, 0)
    assert is_one_sentence(refusal(said), "plan"), said["message"]


# --- Backups ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def restored_by_half(sandbox: CloseAccount, backups: Path) -> Path:
    """The folder of a backup that is restored by half."""
    put_back(WRITTEN / "restored_by_half", sandbox, backups)
    [manifest] = backups.rglob("manifest.json")
    return manifest.parent


def test_a_manifest_of_a_newer_version_is_refused(call: Command, sandbox: CloseAccount, restored_by_half: Path) -> None:
    manifest = restored_by_half / "manifest.json"
    manifest.write_text(json.dumps(newer(json.loads(manifest.read_text()))))

    restored = call("restore", str(restored_by_half), "--no-dry-run", "--json")
    listed = call("backups", "--verify")

    assert (restored.code, sandbox.writes()) == (3, [])
    assert is_one_sentence(restored.json["message"], str(restored_by_half)), restored.json["message"]
    assert (listed.code, is_one_sentence(listed.err, str(restored_by_half))) == (3, True)


# At 0.1: a journal says no version, and an entry with more than is known is read as if it had no more.
@pytest.mark.parametrize("which", ["all", "last"])
def test_a_journal_of_a_newer_version_is_refused(
    call: Command, sandbox: CloseAccount, restored_by_half: Path, which: str
) -> None:
    """An entry without a version is of version 1. Where a newer one has gone on with it, the last is newer."""
    journal = restored_by_half / "restore.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines() if line]
    raised = [newer({"version": 1, **each}) for each in lines]
    lines = raised if which == "all" else [*lines[:-1], raised[-1]]
    journal.write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    before = journal.read_text()

    said = call("restore", str(restored_by_half), "--no-dry-run", "--json")

    assert (said.code, said.json["outcome"], sandbox.writes()) == (3, "refused", [])
    assert is_one_sentence(said.json["message"], str(restored_by_half)), said.json["message"]
    assert journal.read_text() == before


# --- What can't be read -----------------------------------------------------------------------------------------------


def edited(value: Json) -> Json:
    """What somebody has made of a record in the Prefect UI."""
    return {name: each for name, each in value.items() if name != "digest"}


def another_record(run: str, organization_id: str, change: Callable[[Json], Any] = lambda value: value) -> str:
    """A record of another run, in this organisation; gives the run's id."""
    other = f"00000000{run[8:]}"
    with get_client(sync_client=True) as prefect:
        found = prefect.read_variable_by_name(f"lead_cleanup_run_{run}")
        assert found
        text = json.dumps(found.value).replace(run, other).replace(SANDBOX.id, organization_id)
        tags = [organization_id if each == SANDBOX.id else each for each in found.tags]
        value = change(json.loads(text))
        prefect.create_variable(VariableCreate(name=f"lead_cleanup_run_{other}", value=value, tags=tags))
    return other


# At 0.1: the first record that can't be read ends the list, and the newer one is taken for any other.
@pytest.mark.parametrize("organization_id", first(1, [OTHER.id, SANDBOX.id]), ids=["another", "same organisation"])
@pytest.mark.parametrize("change", first(1, [edited, newer]), ids=["edited", "newer"])
def test_a_record_that_cannot_be_read_names_itself_and_others_are_listed(
    call: Command, unknown: str, organization_id: str, change: Callable[[Json], Any]
) -> None:
    readable = another_record(unknown, organization_id)
    change_record(unknown, change)

    said = call("ledger")

    named = [each for each in (said.out + said.err).splitlines() if unknown in each]
    assert readable in said.out
    assert (len(named), change is newer) == (1, any(NEWER in each for each in named)), named
    assert "No open claims." not in said.out


def test_a_record_that_cannot_be_read_does_not_keep_another_from_being_given_up(call: Command, unknown: str) -> None:
    name = f"lead_cleanup_run_{another_record(unknown, OTHER.id, edited)}"

    said = call("ledger", "--give-up", unknown)

    assert f"Given up: {unknown}" in said.out
    assert name in said.out + said.err


def test_a_record_that_cannot_be_read_stops_the_runs_of_its_organisation_and_is_named(
    call: Command, sandbox: CloseAccount, unknown: str
) -> None:
    """It may be a claim that Close is still working on."""
    name = change_record(unknown, edited)

    said = call(*JUNK)

    assert (said.code in {3, 5}, name in said.json["message"], bulk_deletes(sandbox)) == (True, True, 0)


@pytest.mark.parametrize("change", first(1, [edited, newer]), ids=["edited", "newer"])
def test_a_record_that_cannot_be_read_stops_no_run_of_another_organisation(
    call: Command, sandbox: CloseAccount, unknown: str, change: Callable[[Json], Any]
) -> None:
    another_record(unknown, OTHER.id, change)
    call("ledger", "--give-up", unknown)

    said = call(*JUNK)

    assert (said.json["outcome"], bulk_deletes(sandbox)) == ("deleted", 1)


# At 0.1: the first record that can't be read ends the pruning.
def test_a_record_that_cannot_be_read_is_never_pruned_and_keeps_no_other_from_it(
    call: Command, sandbox: CloseAccount, unknown: str
) -> None:
    old = "2020-01-01T00:00:00Z"
    gone = another_record(unknown, SANDBOX.id, lambda value: {**value, "ended": "done", "claimed_at": old})
    name = change_record(unknown, lambda value: {**edited(value), "ended": "done", "claimed_at": old})

    call("ledger", "--prune")

    assert name in variables()
    assert f"lead_cleanup_run_{gone}" not in variables()
