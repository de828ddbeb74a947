"""``resume``, ``stop``, ``go`` and ``ledger``: what a person does about a run that has not come to its end."""

from datetime import timedelta
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import VariableCreate
from prefect.states import Running
from support.approvals import Ask
from support.close_account import CloseAccount, lead
from support.fake_clock import FakeClock
from support.terminal_session import Command

from tasks.ledger import store as ledger
from tasks.ledger.record import name_of
from tasks.runs.outcomes import Stop

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server", "empty_ledger")]

JUNK = ("run", "--match.status", "Junk", "--no-dry-run", "--json")
BULK_DELETE = "/bulk_action/delete/"


def unknown(lead_cleanup: Command, sandbox: CloseAccount) -> str:
    """The id of a run whose POST was lost on its way."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    sandbox.fault("POST", BULK_DELETE, "drop_before")
    said = lead_cleanup(*JUNK)
    assert (said.code, said.json["outcome"]) == (5, "unknown")
    return said.json["flow_run_id"]


def test_a_claim_that_is_given_up_makes_room_for_other_runs(
    lead_cleanup: Command, sandbox: CloseAccount, fake_clock: FakeClock
):
    run_id = unknown(lead_cleanup, sandbox)

    listed = lead_cleanup("ledger")
    in_the_way = lead_cleanup(*JUNK)
    given_up = lead_cleanup("ledger", "--give-up", run_id)
    another = lead_cleanup(*JUNK)
    itself = lead_cleanup("resume", run_id)
    finished = lead_cleanup("resume", another.json["flow_run_id"])

    assert run_id in listed.out
    assert (in_the_way.code, in_the_way.json["outcome"]) == (3, "refused")
    assert f"`lead-cleanup ledger --give-up {run_id}` gives it up" in in_the_way.json["message"]
    assert "No open claims." in given_up.out
    assert (another.code, another.json["outcome"]) == (0, "deleted")
    assert f"The claim of run {run_id} was given up by" in itself.err
    assert "is Deleted: `lead-cleanup report" in finished.err
    assert (itself.code, finished.code) == (3, 3)


def test_old_records_go_and_nothing_else(lead_cleanup: Command, sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch):
    """How far the ramp has come is another Variable."""
    sandbox.add(lead("A", "Junk"), lead("B"))
    run_id = lead_cleanup(*JUNK).json["flow_run_id"]
    with get_client(sync_client=True) as prefect:
        prefect.delete_flow_run(UUID(run_id))
    monkeypatch.setattr("tasks.ledger.store.KEPT_FOR", timedelta())

    said = lead_cleanup("ledger", "--prune")

    assert (said.code, said.err) == (0, "")
    with get_client(sync_client=True) as prefect:
        left = [each.name for each in prefect.read_variables()]
    assert name_of(UUID(run_id), 1) not in left
    assert [each.startswith("lead_cleanup_ramp_") for each in left] == [True]


def test_a_stop_needs_a_reason(lead_cleanup: Command):
    lead_cleanup("stop", " ").is_one_line("To stop them, say why")


def test_a_run_whose_worker_may_have_died_is_left_to_the_automations(lead_cleanup: Command, ask: Ask):
    asked = ask(waits=False)
    with get_client(sync_client=True) as prefect:
        prefect.set_flow_run_state(asked.id, Running(), force=True)

    sentence = "nothing to resume. If its worker has died, the automations mark it Crashed"
    lead_cleanup("resume", str(asked.id)).is_one_line(sentence, code=3)


@pytest.mark.parametrize("words", [("resume", "nonsense"), ("ledger", "--give-up", "nonsense")])
def test_a_run_that_isnt_there_is_one_line(lead_cleanup: Command, sandbox: CloseAccount, words: tuple[str, ...]):
    lead_cleanup(*words).is_one_line("There is no run 'nonsense'.", code=3)


def test_a_record_that_cant_be_read_names_itself_and_hides_no_other(
    lead_cleanup: Command, sandbox: CloseAccount, fake_clock: FakeClock
) -> None:
    """Somebody has edited one Variable: the other claims are listed all the same, and no run takes it for none."""
    open_claim = unknown(lead_cleanup, sandbox)
    tags = ["lead-cleanup", "orga_other", "junk", "unresolved"]
    with get_client(sync_client=True) as prefect:
        for name, value in {"edited": {"version": 1}, "newer": {"version": 99}}.items():
            prefect.create_variable(VariableCreate(name=f"lead_cleanup_run_{name}", value=value, tags=tags))

    listed = lead_cleanup("ledger")

    assert listed.code == 0
    assert open_claim in listed.out
    assert "lead_cleanup_run_edited is not what a run wrote" in listed.out
    assert "lead_cleanup_run_newer was written by a newer version" in listed.out
    with pytest.raises(Stop, match="lead_cleanup_run_edited"):
        ledger.open_claims("orga_other")
