"""What people may ask for, and how they are told when it makes no sense."""

import math
import re
import zoneinfo
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tasks.close.pages import LONGEST_SEARCH
from tasks.close.problems import problems
from tasks.criteria.policy import LARGEST_BATCH, Approval, Keep, Limits, Match, Policy, TimeZone, most_without_approval

STATUS = {"status": ["Junk"]}
JUNK: dict[str, Any] = {
    "type": "field_condition",
    "field": {"type": "regular_field", "object_type": "lead", "field_name": "status_id"},
    "condition": {"type": "reference", "reference_type": "status.lead", "object_ids": ["stat_junk"]},
}

VALID: list[tuple[type[Policy], dict[str, Any]]] = [
    (Match, {"smart_view": "Old imports"}),
    (Match, {"s_query": JUNK}),
    (Match, {"s_query": {"query": JUNK, "results_limit": None, "sort": []}}),
    (Match, STATUS),
    (Match, {"inactive_months": 1}),
    (Match, {"inactive_months": 600}),
    (Match, {"never_communicated": True}),
    (Match, {"created_before_months": 12}),
    (Match, {"without_contacts": True}),
    (Match, {"unreachable": True}),
    (Match, {"name_words": ["test", "dummy2"]}),
    (Match, {"email_domains": ["example.com", "mail.example.co.uk"]}),
    (Match, {"custom_fields": {"Source": ["Import"], "Score": [1, 2.5], "Spam": [True]}}),
    (Match, {"s_query": {"type": "near", "place": 1}, "allow_unknown_nodes": True}),
    (Keep, {}),
    (Keep, {"open_opportunities": False, "won_opportunities": False, "upcoming_meetings": False}),
    (Keep, {"running_workflows": False, "open_tasks": True}),
    (Keep, {"created_within_days": 1, "communication_within_days": 20000}),
    (Keep, {"status": ["Customer"], "smart_view": "VIP", "s_query": JUNK}),
    (Keep, {"lead_ids": ["lead_abc"], "email_domains": ["example.com"], "custom_fields": {"Tier": ["A"]}}),
    (Keep, {"s_query": {"query": JUNK, "results_limit": 50}}),
    (Limits, {}),
    (Limits, {"max_leads": 1, "max_share": 1, "batch": 1, "max_wait_minutes": 1}),
    (Limits, {"max_share": 0.001, "batch": 9_999}),
]

# What is wrong, and words that the one sentence about it must contain.
INVALID: list[tuple[type[Policy], dict[str, Any], str]] = [
    (Match, {"smart_view": " "}, "smart_view: it is empty; write what you mean, or leave it out"),
    (Match, {"smart_view": 5}, "smart_view: write text"),
    (Match, {"s_query": {}}, "s_query: this is neither a query node"),
    (Match, {"s_query": "text"}, r"s_query: write an object, such as \{.name.: .value.\}"),
    (Match, {"s_query": {"type": "match_all"}}, "s_query: it matches every lead"),
    (
        Match,
        {"s_query": {"type": "and", "queries": []}},
        "s_query: one of its groups is empty",
    ),
    (Match, {"s_query": {"type": "near"}}, "s_query: we don't know what near means"),
    (Match, {"s_query": {"type": "object_type", "object_type": "contact"}}, "s_query: it selects contact objects"),
    (Match, {"s_query": {"query": JUNK, "results_limit": 50}}, "s_query: its results_limit of 50 .* limits.batch"),
    (Match, {"s_query": {"query": JUNK, "results_limit": "50"}}, "s_query: its results_limit is '50'"),
    (Match, {"status": "Junk"}, r"status: write a list, such as \[A, B\]"),
    (Match, {"status": []}, "status: it is empty; write what you mean, or leave it out"),
    (Match, {"status": [""]}, "status.0: it is empty; write what you mean, or leave it out"),
    (Match, {"inactive_months": 0}, "inactive_months: write 1 or more"),
    (Match, {"inactive_months": -1}, "inactive_months: write 1 or more"),
    (Match, {"inactive_months": 601}, "inactive_months: write 600 or less"),
    (Match, {"inactive_months": 1.5}, "inactive_months: write a whole number without quotes"),
    (Match, {"inactive_months": True}, "inactive_months: true is not a value for it"),
    (Match, {"never_communicated": "perhaps"}, "never_communicated: write true or false"),
    (Match, {"created_before_months": 0}, "created_before_months: write 1 or more"),
    (Match, {"without_contacts": 2}, "without_contacts: write true or false"),
    (Match, {"unreachable": []}, "unreachable: write true or false"),
    (Match, {"name_words": []}, "name_words: it is empty; write what you mean, or leave it out"),
    (Match, {"name_words": ["two words"]}, "name_words.0: 'two words' is not one word"),
    (Match, {"name_words": ["test*"]}, r"name_words.0: 'test\*' is not one word"),
    (Match, {"email_domains": ["com"]}, "email_domains.0: 'com' is not a whole domain"),
    (Match, {"email_domains": ["ann@example.com"]}, "email_domains.0: 'ann@example.com' is not a whole domain"),
    (Match, {"email_domains": ["*.example.com"]}, r"email_domains.0: '\*.example.com' is not a whole domain"),
    (Match, {"custom_fields": {}}, "custom_fields: it is empty; write what you mean, or leave it out"),
    (
        Match,
        {"custom_fields": {"Source": []}},
        "custom_fields.Source: it is empty; write what you mean",
    ),
    (
        Match,
        {"custom_fields": {"Source": ""}},
        "custom_fields.Source.0: it is empty; write what you mean",
    ),
    (
        Match,
        {"custom_fields": {"Source": None}},
        "custom_fields.Source.0: write text or a number without quotes or true",
    ),
    (Match, {**STATUS, "allow_unknown_nodes": "?"}, "allow_unknown_nodes: write true or false"),
    (Keep, {"created_within_days": -1}, "created_within_days: write 0 or more"),
    (Keep, {"created_within_days": True}, "created_within_days: true is not a value for it"),
    (Keep, {"communication_within_days": 20_001}, "communication_within_days: write 20000 or less"),
    (Keep, {"open_tasks": 3}, "open_tasks: write true or false"),
    (Keep, {"status": []}, "status: it is empty; write what you mean, or leave it out"),
    (Keep, {"smart_view": ""}, "smart_view: it is empty; write what you mean, or leave it out"),
    (Keep, {"s_query": {"type": "match_all"}}, "s_query: it matches every lead"),
    (Keep, {"lead_ids": []}, "lead_ids: it is empty; write what you mean, or leave it out"),
    (Keep, {"lead_ids": ["cont_abc"]}, "lead_ids.0: write a lead's id, such as lead_AbC123"),
    (Keep, {"email_domains": [""]}, "email_domains.0: it is empty; write what you mean, or leave it out"),
    (
        Keep,
        {"custom_fields": {"Tier": [None]}},
        "custom_fields.Tier.0: write text or a number without quotes or true",
    ),
    (Limits, {"max_leads": 0}, "max_leads: write 1 or more"),
    (Limits, {"max_leads": None}, "max_leads: write a whole number without quotes"),
    (Limits, {"max_leads": True}, "max_leads: true is not a value for it"),
    (Limits, {"max_share": 0}, "max_share: write more than 0"),
    (Limits, {"max_share": 10}, "max_share: write 1 or less"),
    (Limits, {"max_share": True}, "max_share: true is not a value for it"),
    (Limits, {"max_share": float("nan")}, "max_share: write 1 or less"),
    (Limits, {"batch": 0}, "batch: write 1 or more"),
    (Limits, {"batch": 10_000}, "batch: write 9999 or less"),
    (Limits, {"max_wait_minutes": 0}, "max_wait_minutes: write 1 or more"),
    (Limits, {"max_wait_minutes": 10**13}, "max_wait_minutes: write 43200 or less"),
]


@pytest.mark.parametrize(("model", "given"), VALID)
def test_what_makes_sense_is_taken_as_given(model: type[Policy], given: dict[str, Any]):
    assert model.model_validate(given).model_dump(exclude_unset=True) == given


@pytest.mark.parametrize(("model", "given", "sentence"), INVALID)
def test_what_makes_no_sense_gets_one_clear_sentence(model: type[Policy], given: dict[str, Any], sentence: str):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(given)

    said = problems(caught.value)
    assert re.match(sentence, said)
    assert ": " not in said.partition("; ")[2]  # one problem, one sentence
    assert "\n" not in said


SEARCHED: dict[str, Any] = {
    "query": {
        "type": "and",
        "queries": [
            {"type": "object_type", "object_type": "lead"},
            {"type": "text", "mode": "beginning_of_words", "value": "junk"},
            {"negate": False, "queries": [], "type": "and"},
        ],
    },
    "results_limit": None,
    "sort": [],
}
"""What Copy Filters copies when only the search box is used."""


@pytest.mark.parametrize("model", [Match, Keep])
def test_copy_filters_of_a_mere_search_is_taken_as_it_is(model: type[Match | Keep]):
    assert model.model_validate({"s_query": SEARCHED}).s_query == SEARCHED
    with pytest.raises(ValidationError, match="one of its groups is empty"):
        model.model_validate({"s_query": {"query": {**SEARCHED["query"], "type": "or"}}})


@pytest.mark.parametrize(
    "wrong",
    [
        (Match, {"inactive_months": "12"}),
        (Match, {"inactive_months": 12.0}),
        (Match, {"created_before_months": "12"}),
        (Keep, {"created_within_days": 30.0}),
        (Keep, {"communication_within_days": "30"}),
        (Limits, {"max_leads": 500.0}),
        (Limits, {"max_share": "0.1"}),
        (Limits, {"batch": "100"}),
    ],
)
def test_numbers_are_strict(wrong: tuple[type[Policy], dict[str, Any]]):
    model, given = wrong
    with pytest.raises(ValidationError) as caught:
        model.model_validate(given)

    assert re.fullmatch(rf"{next(iter(given))}: write a (whole )?number without quotes", problems(caught.value))


@pytest.mark.parametrize("empty", [{}, {"status": None}, {"never_communicated": False}, {"unreachable": None}])
@pytest.mark.parametrize("more", [{}, {"allow_unknown_nodes": True}, {"smart_view": False, "inactive_months": None}])
def test_false_null_and_absent_are_not_criteria(empty: dict[str, Any], more: dict[str, Any]):
    """A tool that took optional arguments sent an empty body to a delete: without a criterion there is no policy."""
    with pytest.raises(ValidationError) as caught:
        Match.model_validate({**empty, **more})

    assert problems(caught.value) == "set at least one criterion, for example status or inactive_months"


def test_keep_is_on_unless_it_is_turned_off():
    keep = Keep.model_validate({"open_opportunities": None, "created_within_days": 0, "status": False})

    assert keep.open_opportunities
    assert keep.created_within_days is None
    assert keep.communication_within_days == 30
    assert keep.status is None


@pytest.mark.parametrize(
    ("model", "misspelt", "meant"),
    [
        (Match, "statuses", "status"),
        (Match, "inactive_month", "inactive_months"),
        (Keep, "open_oportunities", "open_opportunities"),
        (Keep, "Lead_IDs", "lead_ids"),
        (Limits, "max_lead", "max_leads"),
    ],
)
def test_a_misspelt_name_is_refused_and_the_nearest_is_named(model: type[Policy], misspelt: str, meant: str):
    """A misspelt key has meant "no filter", and a misspelt exemption "exempt nobody": too much was deleted."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate({**(STATUS if model is Match else {}), misspelt: 1})

    assert problems(caught.value).startswith(f"there is no setting {misspelt!r}; did you mean {meant!r}")


def test_words_and_domains_are_compared_in_lower_case():
    match = Match(name_words=["TEST", " Straße "], email_domains=["@Example.COM"])

    assert match.name_words == ["test", "straße"]
    assert match.email_domains == ["example.com"]


def test_one_value_of_a_custom_field_is_as_good_as_a_list_of_one():
    assert Match.model_validate({"custom_fields": {"Source": "Import"}}).custom_fields == {"Source": ["Import"]}


def test_the_largest_batch_can_be_read_with_the_lead_after_it():
    """The batch ends at the instant at which the next lead was created."""
    assert LARGEST_BATCH + 1 <= LONGEST_SEARCH


def test_policies_cannot_be_changed():
    with pytest.raises(ValidationError):
        Limits().max_leads = 7


@pytest.mark.parametrize(("setting", "most"), [("never", math.inf), ("always", 0), ("above 0", 0), ("above 500", 500)])
def test_an_approval_is_asked_never_always_or_above_a_number_of_leads(setting: str, most: float):
    assert most_without_approval(TypeAdapter[str](Approval).validate_python(setting)) == most


@pytest.mark.parametrize(
    "wrong", ["", "Never", "sometimes", "above", "above -1", "above  5", "above 1.5", "500", 500, None]
)
def test_any_other_approval_gets_one_clear_sentence(wrong: object):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter[str](Approval).validate_python(wrong)

    assert f"{wrong!r} is neither never, nor always, nor above and a number of leads" in problems(caught.value)


def test_time_zones_are_found_where_the_system_has_none():
    zones: TypeAdapter[str] = TypeAdapter(TimeZone)
    zoneinfo.reset_tzpath(to=())
    try:
        zoneinfo.ZoneInfo.clear_cache()
        assert zones.validate_python("Europe/Berlin") == "Europe/Berlin"
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()


def test_every_version_of_python_brings_the_time_zones():
    """Prefect brings them to some only; a condition on the version would stand behind the number."""
    lock = (Path(__file__).parents[2] / "requirements.lock").read_text()

    assert re.search(r"^tzdata==[\d.]+ \\$", lock, re.MULTILINE)


def test_a_time_zone_is_one_that_exists():
    zones = TypeAdapter[str](TimeZone)

    assert zones.validate_python("Europe/Berlin") == "Europe/Berlin"
    for wrong in ("Europe/Berlim", "", "../etc/passwd", "CEST+2", "Europe", "x" * 300):
        with pytest.raises(ValidationError, match="is not a time zone such as Europe/Berlin"):
            zones.validate_python(wrong)


@pytest.mark.parametrize("model", [Match, Keep, Limits])
def test_the_form_in_prefect_is_a_plain_list_of_inputs(model: type[Policy]):
    """No choices between a value and nothing, and no default for what is unset: either makes the form hard to use."""
    schema = model.model_json_schema()

    assert "$defs" not in schema
    assert schema["additionalProperties"] is False
    for name, field in schema["properties"].items():
        assert field["title"], name
        assert field["description"].endswith((".", "}.")), name
        assert not {"anyOf", "oneOf", "allOf", "$ref"} & set(field), name
        assert field["type"] in {"string", "integer", "number", "boolean", "array", "object"}, name
        assert ("default" in field) is (model.model_fields[name].default is not None), name
