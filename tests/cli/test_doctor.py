"""``lead-cleanup doctor`` finds out what works and changes nothing."""

import time
from pathlib import Path

import pytest
from support.close_account import USER, CloseAccount, lead
from support.terminal_session import Command

from tasks.criteria.policy import Keep, Match


def test_in_an_organisation_where_all_works_every_rule_is_tried(lead_cleanup: Command, sandbox: CloseAccount):
    sandbox.reset(leads=100)

    said = lead_cleanup("doctor")

    assert said.code == 0
    assert "✗" not in said.out
    for rule in ("created_within_days", "open_opportunities", "running_workflows", "open_tasks", "lead_ids"):
        assert f"✓ keep.{rule}: " in said.out
    for rule in ("inactive_months", "unreachable", "name_words"):
        assert f"✓ match.{rule}: " in said.out
    assert "✓ keep.status: Potential: " in said.out
    assert "✓ keep.created_within_days: 30 days: " in said.out
    assert "· rate limits: " in said.out
    assert "!" not in said.out
    assert "✓ backups: can be written from here: " in said.out
    assert sandbox.writes() == []


def test_a_place_that_takes_no_backups_is_exit_1_and_says_which_setting_to_change(
    lead_cleanup: Command, sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("CLOSE_BACKUP_URL", str(tmp_path / "a file" / "backups"))

    said = lead_cleanup("doctor")

    assert said.code == 1
    assert "✗ backups: The storage at " in said.out
    assert "check CLOSE_BACKUP_URL" in said.out


def test_every_rule_is_tried_and_those_on_by_default_are_essential(lead_cleanup: Command, sandbox: CloseAccount):
    """A criterion that asks Close the same as a keep rule isn't tried twice; what names Smart Views isn't counted."""
    said = lead_cleanup("doctor", "--json")

    rules = {f"keep.{name}" for name in set(Keep.model_fields) - {"smart_view", "s_query"}}
    rules |= {f"match.{name}" for name in set(Match.model_fields) - set(Keep.model_fields) - {"allow_unknown_nodes"}}
    assert rules <= {each["about"] for each in said.json["findings"]}
    on = {f"keep.{name}" for name, field in Keep.model_fields.items() if field.default}
    assert {each["about"] for each in said.json["findings"] if each["about"] in on and each["essential"]} == on


def test_smart_views_that_cannot_be_used_are_named(lead_cleanup: Command, sandbox: CloseAccount):
    said = lead_cleanup("doctor")

    assert "! " not in said.out  # a warning would ask for something to be done
    assert "legacy text views, which can't be used: Untouched leads (old search)" in said.out
    assert "depend on the user, which can't be used: My leads" in said.out
    assert "use their ids: Follow up" in said.out


def test_a_default_rule_that_close_rejects_is_exit_1_and_says_which_setting_to_change(
    lead_cleanup: Command, sandbox: CloseAccount
):
    sandbox.fault("POST", "/data/search/", "status", status=400, after=1)

    said = lead_cleanup("doctor")

    assert said.code == 1
    assert "✗ keep.open_opportunities: rejected: " in said.out
    assert "--no-keep.open-opportunities" in said.out


def test_a_wrong_key_is_one_finding(lead_cleanup: Command, sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLOSE_API_KEY", "api_wrong.key")

    said = lead_cleanup("doctor")

    assert said.code == 1
    assert "✗ key: Close refuses the API key (401)" in said.out
    assert "wrong.key" not in said.out + said.err


def test_where_nobody_listens_it_soon_gives_up_and_names_the_address(
    lead_cleanup: Command, sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch
):
    """Runs are patient, for outages of Close; here a person is waiting."""
    monkeypatch.setenv("CLOSE_API_URL", "http://127.0.0.1:9/api/v1/")
    began = time.monotonic()

    said = lead_cleanup("doctor")

    assert said.code == 1
    assert "✗ reading: Close at http://127.0.0.1:9 can't be reached (connection refused): check" in said.out
    assert time.monotonic() - began < 30


def test_while_close_deletes_or_has_paused_it_says_that_cleanups_must_wait(
    lead_cleanup: Command, sandbox: CloseAccount
):
    [junk] = sandbox.add(lead("A", "Junk"))
    sandbox.jobs(status="paused", stall_after=0)
    sandbox.post("/bulk_action/delete/", s_query={"type": "id", "value": junk})

    said = lead_cleanup("doctor")

    assert "no cleanup starts until it is over" in said.out
    assert said.out.endswith("\nCleanups with the default rules work once that bulk delete is over.\n")


def test_a_user_who_may_not_bulk_delete_is_told(
    lead_cleanup: Command, sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CLOSE_API_KEY", USER)

    said = lead_cleanup("doctor")

    assert said.code == 1
    assert "! permissions: The role user of this key's user may not bulk delete." in said.out
    assert "✗ bulk delete: not with this key (role user), but dry runs work" in said.out
    assert "Fix the lines marked ✗ first." in said.out


def test_a_never_delete_view_that_is_not_there_is_exit_1(
    lead_cleanup: Command, sandbox: CloseAccount, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CLOSE_KEEP_SMART_VIEW", "Nevr delete")

    said = lead_cleanup("doctor")

    assert said.code == 1
    assert "✗ CLOSE_KEEP_SMART_VIEW: There is no Smart View 'Nevr delete'; did you mean 'Never delete'?" in said.out
