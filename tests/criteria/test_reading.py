"""Our own reading of leads: whole words and whole domains, whatever Close's tokenizer makes of them."""

from typing import Any

import pytest

from tasks.criteria.policy import Keep, Match
from tasks.criteria.reading import check_leads, has_domain, has_word, needed
from tasks.runs.outcomes import Refused

TEST = Match(name_words=["test"])


def lead(name: str | None, *emails: str, lead_id: str = "lead_1") -> dict[str, Any]:
    contacts = [{"name": "Ann", "emails": [{"email": email, "type": "office"}]} for email in emails]
    return {"id": lead_id, "name": name, "display_name": name or "Untitled", "contacts": contacts}


@pytest.mark.parametrize("name", ["Test", "test Ltd", "My TEST", "a-test", "test@test.com", "(test)", "test, please"])
def test_a_whole_word_is_found_in_any_case_and_company(name: str):
    assert has_word(lead(name), ["dummy", "test"])


@pytest.mark.parametrize(
    "name",
    [
        "Testudo",
        "Protestant",
        "Contest",
        "Attestor",
        "tests",
        "test_2",
        "t e s t",
        "",
        None,
        "te\u0301st",
        "teste\u0301",
    ],
)
def test_a_part_of_a_word_is_not(name: str | None):
    """A cleanup that looked for the letters "test" went on for weeks to delete companies that only contain them."""
    assert not has_word(lead(name), ["test"])


def test_an_accent_belongs_to_its_letter_however_it_is_written():
    assert has_word(lead("Cafe\u0301 Test"), ["caf\u00e9"])
    assert not has_word(lead("Cafe\u0301 Test"), ["cafe"])


def test_only_the_name_counts_not_what_is_shown_in_its_place():
    """Close shows a contact's name for a lead without one."""
    assert not has_word({"id": "lead_1", "name": "", "display_name": "Test Person"}, ["test"])
    assert has_word({"id": "lead_1", "display_name": "Test"}, ["test"])


@pytest.mark.parametrize("email", ["ann@example.com", "ANN@Example.COM", "ann@example.com ", "a@b@example.com"])
def test_a_whole_domain_is_found(email: str):
    assert has_domain(lead("x", "bob@other.org", email), ["example.com"])


@pytest.mark.parametrize("email", ["ann@mail.example.com", "ann@notexample.com", "example.com@other.org", "", "ann"])
def test_domains_below_it_and_look_alikes_are_not(email: str):
    assert not has_domain(lead("x", email), ["example.com"])


STRANGE: list[dict[str, Any]] = [{}, {"contacts": None}, {"contacts": [{}]}, {"contacts": [{"emails": [{}]}]}]


@pytest.mark.parametrize("strange", STRANGE)
def test_leads_without_addresses_have_no_domain(strange: dict[str, Any]):
    assert not has_domain(strange, ["example.com"])


def test_one_disagreement_stops_the_run_and_names_ids_only():
    leads = [lead("Test", lead_id="lead_ok"), *(lead("Testudo", lead_id=f"lead_{number}") for number in range(7))]

    with pytest.raises(Refused) as caught:
        check_leads(leads, TEST, Keep())

    said = str(caught.value)
    assert said.startswith("7 of the leads that Close would delete have none of the words of match.name_words")
    assert "lead_0, lead_1, lead_2, lead_3, lead_4." in said
    assert "Testudo" not in said
    assert "lead_ok" not in said


@pytest.mark.parametrize(
    ("match", "keep", "problem"),
    [
        (Match(email_domains=["example.com"]), Keep(), "no e-mail address at match.email_domains"),
        (Match(status=["Junk"]), Keep(email_domains=["other.org"]), "an e-mail address at keep.email_domains"),
    ],
)
def test_addresses_are_read_again_too(match: Match, keep: Keep, problem: str):
    with pytest.raises(Refused, match=problem):
        check_leads([lead("x", "ann@other.org")], match, keep)


def test_agreement_passes():
    match = Match(name_words=["test"], email_domains=["example.com"])
    check_leads([lead("Test", "ann@example.com")], match, Keep(email_domains=["other.org"]))
    check_leads([], match, Keep())


def test_it_is_needed_only_for_words_and_domains():
    assert needed(TEST, Keep())
    assert needed(Match(email_domains=["example.com"]), Keep())
    assert needed(Match(status=["Junk"]), Keep(email_domains=["example.com"]))
    assert not needed(Match(status=["Junk"], unreachable=True), Keep(lead_ids=["lead_1"], status=["Customer"]))


@pytest.mark.parametrize("contacts", [{}, {"contacts": None}])
def test_a_lead_that_came_without_its_contacts_is_not_one_without_addresses(contacts: dict[str, Any]):
    """What can't be read is never "not protected"."""
    with pytest.raises(Refused, match="came without their contacts"):
        check_leads([{"id": "lead_1", "name": "x", **contacts}], Match(status=["Junk"]), Keep(email_domains=["a.com"]))
