"""A field that Close doesn't know is named, with the nearest ones."""

from typing import Any

import pytest

from tasks.fields import unknown_field

QUERY: dict[str, Any] = {
    "type": "and",
    "queries": [{"type": "field_condition", "field": {"type": "regular_field", "field_name": "num_calles"}}],
}


def test_a_misspelt_field_is_named_with_the_nearest():
    said = unknown_field(QUERY, ["query.queries.0.field.field_name"])

    assert said is not None
    assert said.startswith("There is no field 'num_calles'; did you mean 'num_calls'")


@pytest.mark.parametrize("path", ["query.queries.1.field.field_name", "query", "query.queries.x", "s_query.field_name"])
def test_a_path_that_leads_to_no_field_says_nothing(path: str):
    assert unknown_field(QUERY, [path]) is None
