"""Our own reading of leads: whole words and whole domains, whatever Close's tokenizer makes of them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.criteria.policy import Keep, Match
from tasks.criteria.reading import check_leads, has_domain, has_word, must_check_before_export
from tasks.criteria.selection import Criteria
from tasks.runs.outcomes import Refused

AS_OF = datetime(2026, 3, 31, tzinfo=UTC)
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
        check_leads(leads, Criteria(TEST, Keep(), AS_OF))

    said = str(caught.value)
    assert said.startswith("A second check of the planned leads found that 7 leads contradict match.name_words")
    assert "(lead_0, lead_1, lead_2, lead_3, lead_4)." in said
    assert "Testudo" not in said
    assert "lead_ok" not in said


@pytest.mark.parametrize(
    ("match", "keep", "problem"),
    [
        (Match(email_domains=["example.com"]), Keep(), "1 lead contradicts match.email_domains"),
        (Match(status=["Junk"]), Keep(email_domains=["other.org"]), "1 lead contradicts keep.email_domains"),
    ],
)
def test_addresses_are_read_again_too(match: Match, keep: Keep, problem: str):
    with pytest.raises(Refused, match=problem):
        check_leads([lead("x", "ann@other.org")], Criteria(match, keep, AS_OF))


def test_agreement_passes():
    match = Match(name_words=["test"], email_domains=["example.com"])
    check_leads([lead("Test", "ann@example.com")], Criteria(match, Keep(email_domains=["other.org"]), AS_OF))
    check_leads([], Criteria(match, Keep(), AS_OF))


def test_it_is_needed_only_for_words_and_domains():
    assert must_check_before_export(Criteria(TEST, Keep(), AS_OF))
    assert must_check_before_export(Criteria(Match(email_domains=["example.com"]), Keep(), AS_OF))
    assert must_check_before_export(Criteria(Match(status=["Junk"]), Keep(email_domains=["example.com"]), AS_OF))
    assert not must_check_before_export(
        Criteria(Match(status=["Junk"], unreachable=True), Keep(lead_ids=["lead_1"], status=["Customer"]), AS_OF)
    )


@pytest.mark.parametrize("contacts", [{}, {"contacts": None}])
def test_a_lead_that_came_without_its_contacts_is_not_one_without_addresses(contacts: dict[str, Any]):
    """What can't be read is never "not protected"."""
    criteria = Criteria(Match(status=["Junk"]), Keep(email_domains=["a.com"]), AS_OF)

    with pytest.raises(Refused, match="without name or contacts"):
        check_leads([{"id": "lead_1", "name": "x", **contacts}], criteria)
