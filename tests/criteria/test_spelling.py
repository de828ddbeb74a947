"""One domain, one name, however it is written: a rule that doesn't recognise it protects nobody."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from tasks.close.query.nodes import to_json
from tasks.close.resources import CustomField, LeadStatus, SmartView
from tasks.criteria.names import Names
from tasks.criteria.policy import Keep, Match
from tasks.criteria.reading import agreeing, has_domain, has_word
from tasks.criteria.rules import match_clauses
from tasks.criteria.selection import Criteria
from tasks.criteria.spelling import domain_of
from tasks.runs.outcomes import Refused

AS_OF = datetime(2026, 3, 31, tzinfo=UTC)
COMBINING = "Mu\u0308ller"
COMPOSED = "M\u00fcller"
NAMES = Names(
    statuses=[LeadStatus(id="stat_1", label=f"{COMBINING} "), LeadStatus(id="stat_2", label="Junk")],
    custom_fields=[
        CustomField(id="cf_1", name=" Tier", type="choices", choices=["Gold ", "Silver", "Silver ", COMBINING, "5"])
    ],
    smart_views=[SmartView(id="save_1", name=f"{COMPOSED} ", s_query={"query": {"type": "id", "value": "lead_1"}})],
)


@pytest.mark.parametrize(
    "written",
    [
        "m\u00fcller.de",
        "mu\u0308ller.de",
        "M\u00dcLLER.de",
        "xn--mller-kva.de",
        "@XN--MLLER-KVA.DE",
        " m\u00fcller.de ",
    ],
)
def test_a_domain_is_one_in_every_spelling(written: str):
    assert domain_of(written) == "m\u00fcller.de"
    assert Keep(email_domains=[written]).email_domains == ["m\u00fcller.de"]


@pytest.mark.parametrize("address", ["info@m\u00fcller.de", "Info@Mu\u0308ller.DE ", "info@xn--mller-kva.de"])
@pytest.mark.parametrize("written", ["m\u00fcller.de", "xn--mller-kva.de"])
def test_a_lead_is_at_a_domain_in_every_spelling(address: str, written: str):
    lead: dict[str, Any] = {"id": "lead_1", "contacts": [{"emails": [{"email": address}]}]}

    assert has_domain(lead, [domain_of(written)])
    assert not has_domain(lead, ["muller.de"])


def test_close_is_asked_for_both_spellings_of_a_domain():
    """Close's contacts may have either, and its search compares letters."""
    [clause] = match_clauses(Match(email_domains=["m\u00fcller.de"]), NAMES, AS_OF, ZoneInfo("UTC"))

    values = [each["condition"]["value"] for each in to_json(clause)["related_query"]["related_query"]["queries"]]
    assert values == ["m\u00fcller.de", "xn--mller-kva.de"]


@pytest.mark.parametrize("wrong", ["m\u00fcnchen", "*.m\u00fcller.de", "ann@m\u00fcller.de", "m\u00fcller .de", ".de"])
def test_what_is_no_domain_is_refused_in_every_alphabet(wrong: str):
    with pytest.raises(ValidationError, match="is not a whole domain"):
        Match(email_domains=[wrong])


def test_names_are_compared_without_blanks_around_them_and_in_one_form():
    for name in (COMPOSED, COMBINING, f" {COMPOSED}"):
        assert NAMES.status_id(name) == "stat_1"
        assert to_json(NAMES.smart_view(name)) == {"type": "id", "value": "lead_1"}
    assert NAMES.custom_field("Tier").id == NAMES.custom_field(" Tier ").id == "cf_1"


def test_two_names_that_differ_in_a_blank_only_are_told_apart_by_their_ids():
    names = Names(statuses=[LeadStatus(id="stat_1", label="Junk"), LeadStatus(id="stat_2", label="Junk ")])

    with pytest.raises(Refused, match="use an id instead: stat_1, stat_2"):
        names.status_id("Junk")


@pytest.mark.parametrize(
    ("written", "choice"),
    [("Gold", "Gold "), ("Gold ", "Gold "), ("Silver", "Silver"), ("Silver ", "Silver "), (COMPOSED, COMBINING)],
)
def test_a_choice_is_sent_as_close_spells_it(written: str, choice: str):
    [clause] = match_clauses(Match(custom_fields={"Tier": [written]}), NAMES, AS_OF, ZoneInfo("UTC"))

    assert to_json(clause)["condition"] == {"type": "term", "values": [choice]}


@pytest.mark.parametrize("written", [" Silver", "Silver  "])
def test_a_choice_that_might_be_either_of_two_is_refused(written: str):
    with pytest.raises(Refused, match=r"has several choices .*; write one exactly as it is: 'Silver', 'Silver '"):
        match_clauses(Match(custom_fields={"Tier": [written]}), NAMES, AS_OF, ZoneInfo("UTC"))


def test_a_lead_is_read_again_with_the_same_eyes():
    lead: dict[str, Any] = {"id": "lead_1", "status_label": f"{COMBINING} ", "name": f"{COMBINING} Ltd"}

    assert list(agreeing([lead], Criteria(Match(status=[COMPOSED]), Keep(), AS_OF)))
    with pytest.raises(Refused, match=r"contradicts keep\.status"):
        list(agreeing([lead], Criteria(Match(never_communicated=True), Keep(status=[COMPOSED]), AS_OF)))
    assert has_word(lead, Match(name_words=[COMBINING]).name_words or [])
