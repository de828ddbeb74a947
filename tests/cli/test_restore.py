"""``lead-cleanup restore``: what it prints, and what it refuses before anything starts."""

from pathlib import Path

import pytest
from restore.backups import delete, make_backup
from support.close_account import CloseAccount, lead
from support.terminal_session import Command


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--lead", "Acme"], "--lead: 'Acme' is not the id of a lead"),
        (["--instead", "stat_x"], "--instead: write OLD-ID=NEW-ID"),
        (["--missing", "guess"], "--missing"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    words: list[str], sentence: str, sandbox: CloseAccount, lead_cleanup: Command
) -> None:
    lead_cleanup("restore", "somewhere", *words).is_one_line(sentence)


def test_an_address_with_a_password_is_refused_and_not_repeated(lead_cleanup: Command) -> None:
    said = lead_cleanup("restore", "s3://me:secret@bucket/orga_x/run")

    said.is_one_line("it must not contain a user name or password")
    assert "secret" not in said.err


def test_without_a_key_it_says_how_to_get_one(lead_cleanup: Command) -> None:
    lead_cleanup("restore", "somewhere").is_one_line("No API key is set")


@pytest.mark.server
def test_from_a_bucket_nothing_is_restored_without_the_server_that_keeps_its_lock(
    sandbox: CloseAccount, lead_cleanup: Command
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        said = lead_cleanup("restore", "memory://backups/orga_1/run", "--no-dry-run")

    said.is_one_line("Restoring from a bucket needs a Prefect server, which keeps the backup's lock.")


@pytest.mark.server
def test_a_dry_run_then_the_same_for_real(
    sandbox: CloseAccount, prefect_server: str, lead_cleanup: Command, tmp_path: Path
) -> None:
    sandbox.add(lead("Acme", contacts=[{"name": "Ann"}], activities=[{"_type": "Note", "note": "n"}]))
    backup = str(make_backup(sandbox, tmp_path))
    delete(sandbox)

    shown = lead_cleanup("restore", backup)

    assert shown.code == 0, shown.err
    assert shown.out.startswith(
        "Dry run: nothing was restored\n1 lead would be restored.\n\nLeads     1\nContacts  1\n"
    )
    assert "Note: Not restored: e-mail threads" in shown.out
    assert "Acme" not in shown.out
    assert shown.out.endswith(f"\nTo restore them:\n  lead-cleanup restore {backup} --no-dry-run\n")
    assert sandbox.leads() == {}

    done = lead_cleanup("restore", backup, "--no-dry-run", "--json")

    assert (done.code, done.json["outcome"], done.json["created"]) == (
        0,
        "restored",
        {"lead": 1, "contact": 1, "note": 1},
    )
    assert set(done.json) == {
        *("outcome", "message", "organization_id", "backup", "flow_run_id", "wanted", "created", "adopted"),
        *("rejected", "there", "before", "gone", "missing", "lost", "unlike"),
    }
    assert len(sandbox.leads()) == 1

    gone = lead_cleanup("restore", str(tmp_path / "nowhere"))
    assert (gone.code, "is no backup" in gone.out) == (3, True)
