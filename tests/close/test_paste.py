"""What people paste: Copy Filters as Close's UI writes it, whole Smart Views; and what can't be read, in our words."""

from typing import Any

import pytest

from tasks.close.query.check import check
from tasks.close.query.nodes import DEEPEST, to_json
from tasks.close.query.paste import unwrap
from tasks.close.query.rewrite import UnusableQuery

Json = dict[str, Any]
LEADS: Json = {"type": "object_type", "object_type": "lead"}
JUNK: Json = {"type": "text", "mode": "beginning_of_words", "value": "junk"}
NOTHING: Json = {"negate": False, "queries": [], "type": "and"}
"""What Close's UI adds when only its search box is used."""


def both(*queries: Json, **node: Any) -> Json:
    return {"type": "and", "queries": list(queries), **node}


def either(*queries: Json, **node: Any) -> Json:
    return {"type": "or", "queries": list(queries), **node}


def has_contact(query: Json) -> Json:
    return {
        "type": "has_related",
        "this_object_type": "lead",
        "related_object_type": "contact",
        "related_query": query,
    }


# --- empty groups -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pasted", "read"),
    [
        (both(LEADS, JUNK, NOTHING), both(LEADS, JUNK)),
        (both(NOTHING, JUNK, NOTHING), both(JUNK)),
        (both(JUNK, both()), both(JUNK)),
        (both(JUNK, both(LEADS, NOTHING)), both(JUNK, both(LEADS))),
        (either(JUNK, both(JUNK, NOTHING)), either(JUNK, both(JUNK))),
        (both(JUNK, NOTHING, negate=True), both(JUNK, negate=True)),
        (both(LEADS, has_contact(both(JUNK, NOTHING))), both(LEADS, has_contact(both(JUNK)))),
    ],
)
def test_an_empty_group_that_says_nothing_is_left_out(pasted: Json, read: Json):
    assert to_json(unwrap(pasted)[0]) == read


@pytest.mark.parametrize(
    "pasted",
    [
        NOTHING,
        both(),
        either(),
        both(NOTHING, NOTHING),
        both(NOTHING, either()),
        both(JUNK, both(NOTHING)),
        both(JUNK, {**NOTHING, "negate": True}),
        both(JUNK, {**NOTHING, "negate": 0}),
        both(JUNK, {**NOTHING, "label": "x"}),
        both(JUNK, either()),
        either(JUNK, NOTHING),
        either(JUNK, both(NOTHING)),
        has_contact(NOTHING),
        both(JUNK, has_contact(NOTHING)),
    ],
)
def test_an_empty_group_that_may_mean_every_lead_or_none_is_refused(pasted: Json):
    """Under an "or" of a keep rule, leaving it out would protect fewer leads."""
    with pytest.raises(UnusableQuery, match="one of its groups is empty"):
        unwrap(pasted)


def test_what_is_left_must_still_pass_every_refusal():
    query, _ = unwrap(both(LEADS, NOTHING))

    with pytest.raises(UnusableQuery, match="matches every lead"):
        check(query)


# --- whole Smart Views ------------------------------------------------------------------------------------------------

VIEW: Json = {
    "id": "save_1",
    "name": "Junk",
    "type": "lead",
    "query": None,
    "is_user_dependent": False,
    "s_query": {"query": JUNK, "results_limit": None, "sort": []},
}


@pytest.mark.parametrize(
    ("pasted", "limit"),
    [
        (VIEW, None),
        ({"s_query": {"query": JUNK}}, None),
        ({"s_query": JUNK}, None),
        ({"s_query": JUNK, "results_limit": 50, "sort": []}, 50),
        ({"s_query": {"query": JUNK, "results_limit": 50}, "results_limit": None}, 50),
        ({**VIEW, "s_query": {"query": both(JUNK, NOTHING), "results_limit": 7}}, 7),
    ],
)
def test_a_whole_smart_view_is_read_for_what_it_is(pasted: Json, limit: int | None):
    query, found = unwrap(pasted)

    assert to_json(query) in (JUNK, both(JUNK))
    assert found == limit


@pytest.mark.parametrize(
    ("pasted", "sentence"),
    [
        ({**VIEW, "type": "contact"}, "Smart View of contact objects"),
        ({**VIEW, "is_user_dependent": True}, "depends on the current user"),
        ({**VIEW, "s_query": None, "query": "junk"}, "legacy text view"),
        ({"s_query": {"s_query": JUNK}}, "holds no query"),
        ({"s_query": [JUNK]}, "holds no query"),
        ({"s_query": {"query": JUNK, "results_limit": "5"}}, "results_limit is '5'"),
        ({key: value for key, value in VIEW.items() if key != "s_query"}, "holds no query"),
    ],
)
def test_a_smart_view_that_cant_be_used_is_refused_as_one(pasted: Json, sentence: str):
    with pytest.raises(UnusableQuery, match=sentence) as caught:
        unwrap(pasted)

    assert "allow_unknown" not in str(caught.value)


# --- the place, and what to write -------------------------------------------------------------------------------------


def condition(of: Json, name: str = "num_contacts") -> Json:
    field = {"type": "regular_field", "object_type": "lead", "field_name": name}
    return {"type": "field_condition", "field": field, "condition": of}


@pytest.mark.parametrize(
    ("pasted", "sentence"),
    [
        (both(JUNK, {"type": "id", "value": 7}), "queries.1.value: write text"),
        (both({"type": "object_type"}), "queries.0.object_type: it is missing"),
        (both({**JUNK, "negate": "no"}), "queries.0.negate: write true or false"),
        (both(None), "queries.0: write an object"),  # pyright: ignore[reportArgumentType]
        ({"type": "or", "queries": {}}, "queries: write a list"),
        (condition({"type": "number_range", "gt": "5"}), "condition.gt: write a number without quotes"),
        (condition({"type": "term", "values": [None]}), "condition.values.0: write text or "),
        (condition({"type": "moment_range", "before": "2025"}), "condition.before: write an object"),
        (
            condition({"type": "moment_range", "before": {"type": "fixed_local_date", "value": "x", "which": "x"}}),
            "condition.before.which: write 'start' or 'end'",
        ),
    ],
)
def test_what_is_misshapen_is_named_by_its_place(pasted: Json, sentence: str):
    with pytest.raises(UnusableQuery) as caught:
        unwrap({"query": pasted})

    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    "units", [{"months": -12}, {"months": "12"}, {"months": 12.0}, {"months": True}, {"days": None}]
)
def test_the_units_of_a_distance_are_whole_numbers_from_zero(units: Json):
    """Minus twelve months ago would be in twelve months, and match every lead."""
    offset = {"type": "offset", "direction": "past", "moment": {"type": "now"}, "offset": units}

    with pytest.raises(UnusableQuery, match=r"condition.before.offset.\w+: write (0 or more|a whole number)"):
        unwrap(condition({"type": "moment_range", "before": offset}, "date_created"))


@pytest.mark.parametrize("levels", [DEEPEST + 1, 2_000, 50_000])
def test_what_is_nested_too_deeply_is_a_sentence(levels: int):
    deep = JUNK
    for _ in range(levels):
        deep = both(deep)

    with pytest.raises(UnusableQuery, match=f"nested more than {DEEPEST} levels deep"):
        check(unwrap(deep)[0])


@pytest.mark.parametrize("wrap", [both, has_contact])
def test_what_is_nested_less_deeply_is_read(wrap: Any):
    deep = JUNK
    for _ in range(DEEPEST - 2):
        deep = wrap(deep)

    check(unwrap(deep)[0])
