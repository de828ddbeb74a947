"""A field that Close doesn't know is named, wherever the query has it."""

from typing import Any

import pytest

from tasks.plan.counting import rejected_field

QUERY: dict[str, Any] = {
    "type": "and",
    "queries": [{"type": "field_condition", "field": {"type": "regular_field", "field_name": "num_calles"}}],
}


def test_a_misspelt_field_is_named():
    assert rejected_field(QUERY, ["query.queries.0.field.field_name"]) == "Close has no field 'num_calles'. "


@pytest.mark.parametrize("path", ["query.queries.1.field.field_name", "query", "query.queries.x", "s_query.field_name"])
def test_a_path_that_leads_to_no_field_says_nothing(path: str):
    assert rejected_field(QUERY, [path]) == ""
