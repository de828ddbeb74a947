"""The page that leads through a first live delete, followed line by line as a person would, against the sandbox."""

import re
import shlex
from datetime import UTC, datetime, timedelta

import pytest
from support.close_account import CloseAccount, lead
from support.pages import Page
from support.terminal_session import Command, Said

pytestmark = pytest.mark.server

PAGE = Page("docs/first-live-delete.md")
NAMES = ("One", "Two", "Three", "Four", "Five", "Six")


def six_leads(sandbox: CloseAccount) -> list[str]:
    """What the page has people create, a few minutes ago."""
    moment = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    each = {
        "date_created": moment,
        "date_updated": moment,
        "contacts": [{"name": "Ann", "emails": [{"email": "ann@example.com", "type": "office"}]}],
        "activities": [{"_type": "Note", "note": "Hello"}],
    }
    more = {"Two": {"tasks": [{"text": "Call"}]}, "Six": {"opportunities": [{"status_type": "active"}]}}
    return sandbox.add(*({**lead(f"Firstdelete {name}"), **each, **more.get(name, {})} for name in NAMES))


def test_who_follows_the_page_sees_what_it_says(
    sandbox: CloseAccount, empty_ledger: None, lead_cleanup: Command
) -> None:
    junk = sandbox.add(*(lead(f"junk {n}", "Junk", date_created=f"{2001 + n}-01-01") for n in range(20)))
    others = sandbox.add(*(lead(f"other {n}") for n in range(200)))
    one, *_, six = six_leads(sandbox)
    run, said = "", list[Said]()

    for command in PAGE.commands:
        if not command.startswith("lead-cleanup "):
            continue
        filled = command.replace("ID-OF-THE-RUN", run).replace("ID-OF-THE-LEAD", one)
        answer = lead_cleanup(*shlex.split(filled)[1:])
        assert answer.code == 0, (filled, answer)
        said.append(answer)
        if "firstdelete" in command and "--no-dry-run" in command:
            (run,) = re.findall(r"/flow-run/([0-9a-f-]{36})", answer.out)
            assert set(sandbox.leads()) == {*junk, *others, six}
        if command.startswith("lead-cleanup restore ") and "--no-dry-run" in command:
            names = [each["name"] for each in sandbox.leads().values() if each["name"].startswith("Firstdelete")]
            assert sorted(names) == ["Firstdelete One", "Firstdelete Six"]
            again = lead_cleanup(*shlex.split(filled)[1:])
            assert again.code == 0
            assert "Leads restored before" in again.out

    assert [each["path"] for each in sandbox.posts("/lead/")] == ["/export/lead/", "/lead/", "/export/lead/"]
    for text in re.findall(r'It says "([^"]+)"', PAGE.text):
        assert any(text in each.out for each in said), text
    assert len(sandbox.leads()) == len(junk) - 5 + len(others) + 2
    assert len(sandbox.posts("/bulk_action/delete/")) == 2
