"""No refusal speaks in a library's words: a person reads the place, and what to write there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from flows.console.parameters import Parameters, build, document
from flows.console.terminal import Usage
from tasks.close.problems import problems
from tasks.close.query.paste import unwrap
from tasks.close.query.rewrite import UnusableQuery
from tasks.close.settings import CloseSettings, settings_problem
from tasks.criteria.policy import Keep, Limits, Match

FOREIGN = re.compile(
    r"Input should|should (have|be|match)|[Vv]alue error|[Tt]uple|[Dd]ictionary|[Uu]nable to|pydantic|Extra data"
    r"|Expecting|Invalid (control|\\|JSON)|valid (string|integer|number|list|boolean)|at least \d+ (item|character)"
    r"|mapping values|could not|did not find|found |Errno|Traceback|[Rr]ecursion|decode byte|\bint\b|\bstr\b|NoneType"
)
"""What pydantic, json, PyYAML and Python say."""
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 10**6) | st.floats() | st.sampled_from(["", " ", "x", "12", "12.0"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "type", "My-Field"]), inner),
    max_leaves=4,
)


def is_ours(said: str) -> bool:
    return bool(said) and "\n" not in said and FOREIGN.search(said) is None


@pytest.mark.parametrize("model", [Match, Keep, Limits])
@settings(max_examples=150)
@given(data=st.data())
def test_every_wrong_value_of_every_setting_is_refused_in_our_words(model: type[BaseModel], data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(model.model_fields)))
    value = data.draw(values)
    try:
        model.model_validate({"status": ["Junk"], name: value} if model is Match else {name: value})
    except ValidationError as error:
        said = problems(error)
        assert is_ours(said), said
        assert name in said or "s_query" in said, said


@settings(max_examples=150)
@given(name=st.sampled_from(sorted(Parameters.model_fields)), value=values)
def test_every_wrong_parameter_is_refused_in_our_words(name: str, value: Any):
    given_ = {"match": {"status": ["Junk"]}, name: value}
    try:
        Parameters.model_validate(given_)
    except ValidationError as error:
        said = problems(error, given_)
        assert is_ours(said), said
        assert said.startswith(name), said


NODE: dict[str, Any] = {
    "type": "and",
    "negate": False,
    "queries": [
        {"type": "id", "value": "lead_1"},
        {"type": "text", "value": "x", "mode": None},
        {
            "type": "has_related",
            "this_object_type": "lead",
            "related_object_type": "contact",
            "related_query": {"type": "saved_search", "saved_search_id": "save_1"},
        },
        {
            "type": "field_condition",
            "field": {"type": "regular_field", "object_type": "lead", "field_name": "date_created"},
            "condition": {
                "type": "moment_range",
                "before": {"type": "fixed_utc", "value": "2026-01-01"},
                "on_or_after": {
                    "type": "offset",
                    "direction": "past",
                    "moment": {"type": "now"},
                    "offset": {"days": 1},
                    "which_day_end": "start",
                },
            },
        },
        {
            "type": "field_condition",
            "field": {"type": "custom_field", "custom_field_id": "cf_1"},
            "condition": {"type": "number_range", "gt": 1},
        },
        {"type": "in_status", "status_ids": ["stat_1"]},
    ],
}


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType]
    return [at, *(place for key, each in inner for place in _places(each, (*at, key)))]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


@settings(max_examples=300)
@given(place=st.sampled_from(_places(NODE)[1:]), value=values, missing=st.booleans())
def test_every_wrong_part_of_a_paste_is_refused_in_our_words(place: tuple[Any, ...], value: Any, missing: bool):
    pasted = json.loads(json.dumps(NODE))
    around: Any = pasted
    for step in place[:-1]:
        around = around[step]
    if missing:
        del around[place[-1]]
    else:
        around[place[-1]] = value
    assert is_ours(said_about(pasted))


def said_about(pasted: dict[str, Any]) -> str:
    try:
        unwrap(pasted)
    except UnusableQuery as error:
        return str(error)
    return "nothing"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "",
        "nothing",
        '{"a": 1,}',
        '{"a": "\t"}',
        '{"a": 1} x',
        "[" * 100_000,
        '{"a": \\x}',
        "1" * 5_000,
        '"x"',
        "NaN",
    ],
    ids=range(11),
)
def test_every_text_that_is_no_json_is_refused_in_our_words(text: str):
    Path("query.json").write_text(text, encoding="utf-8")
    for given_ in (text, "@query.json") if text not in ("", "-") else ("@query.json",):
        with pytest.raises(Usage) as caught:
            document("--match.s-query", given_)
        assert is_ours(str(caught.value)), caught.value
        assert ("quotes" in str(caught.value)) <= (given_ == text), "quotes don't matter in a file"


YAML = "deployments:\n  - {name: mine, entrypoint: 'flows/lead_cleanup.py:lead_cleanup', parameters: %s}\n"


@pytest.mark.parametrize(
    "written",
    [
        "deployments: [",
        "deployments: 5",
        "a: b: c",
        "- x\ny: 1",
        "\tx",
        "%nothing",
        "a: *nobody",
        "a: 2026-13-45",
        "!!python/object:os.system {}",
        "[" * 5_000,
        YAML % "[]",
        YAML % "Junk",
        YAML % "{match: Junk}",
        YAML % "{match: [Junk]}",
        YAML % "{match: {status: Junk}}",
        YAML % "{match: {inactive_months: '12'}}",
        YAML % "{match: {inactive_months: 12.0}}",
        YAML % "{match: {status: [Junk]}, keep: []}",
        YAML % "{match: {status: [Junk]}, keep: yes}",
        YAML % "{match: {status: [Junk]}, limits: {max_share: ten}}",
        YAML % "{match: {status: [Junk]}, nothing: 1}",
        YAML % "{match: {custom_fields: {My-Field: []}}}",
        "\ufeff" + YAML % "{match: {}}",
    ],
    ids=range(23),
)
def test_every_wrong_file_of_cleanups_is_refused_in_our_words(written: str):
    Path("prefect.yaml").write_text(written, encoding="utf-8")

    given: tuple[dict[str, Any], ...] = ({}, {"match": {"name_words": ["a b"]}, "keep": {"status": ["x"]}})
    for flags in given:
        with pytest.raises(Usage) as caught:
            build(flags, "mine")
        assert is_ours(str(caught.value)), caught.value


@pytest.mark.parametrize("name", ["CLOSE_TIMEOUT", "CLOSE_BACKUP_DAYS"])
@pytest.mark.parametrize("value", ["x", "-1", "0", "1e9", "1.5.0", "[]", "nan"])
def test_every_wrong_setting_is_refused_in_our_words(name: str, value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError) as caught:
        CloseSettings()

    said = settings_problem(caught.value)
    assert said.startswith(f"{name}: write ")
    assert is_ours(said), said


def test_a_place_is_named_as_it_is_written():
    wrong: dict[str, Any] = {
        "match": {"custom_fields": {"My-Field": [[]]}, "inactive_months": 12.0},
        "keep": {"lead_ids": ["x"]},
    }

    with pytest.raises(ValidationError) as caught:
        Parameters.model_validate(wrong)

    assert problems(caught.value, wrong) == (
        "match.inactive_months: write a whole number without quotes; "
        "match.custom_fields.My-Field.0: write text or a number without quotes or true or false; "
        "keep.lead_ids.0: write a lead's id, such as lead_AbC123"
    )


def test_an_error_that_nobody_foresaw_is_not_passed_on():
    class Strange(BaseModel):
        value: complex = Field(default=0j)

    with pytest.raises(ValidationError) as caught:
        Strange.model_validate({"value": "i"})

    assert problems(caught.value) == "value: it can't be read; compare it with the documentation"
