"""Close's rejections come in several shapes; a person gets one sentence."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.close import errors
from tasks.close.answers import refusal
from tasks.close.errors import BadRequest, CloseError, InvalidQuery
from tasks.close.request import Request

ME = Request("GET", "/me/")
SEARCH = Request("POST", "/data/search/")


def test_the_tree_at_the_top_of_the_errors_is_the_tree() -> None:
    def below(kind: type[CloseError]) -> Iterator[str]:
        for child in kind.__subclasses__():
            yield child.__name__
            yield from below(child)

    drawn = re.findall(r"^(?:[│ ]*[├└]── )(\w+)", errors.__doc__ or "", re.MULTILINE)

    assert drawn == list(below(CloseError))


JSON_BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "errors", "field-errors", "query", "0", "x"]), inner, max_size=3)
    ),
    max_leaves=10,
)


def rejected(body: Any) -> BadRequest:
    error = refusal(SEARCH, httpx.Response(400, json=body), retry_after=0)
    assert isinstance(error, BadRequest)
    return error


def test_nested_field_errors_are_shown_with_their_path() -> None:
    nested = {"s_query": {"queries": {"errors": {"1": {"field": "Not a valid choice."}}}}}

    error = rejected({"field-errors": nested, "errors": []})

    assert isinstance(error, InvalidQuery)
    assert error.field_errors == {"s_query.queries.1.field": "Not a valid choice."}
    assert str(error) == "Close rejects POST /data/search/ (400): s_query.queries.1.field: Not a valid choice."


def test_several_objections_are_all_shown() -> None:
    error = rejected({"field-errors": {"query": "This field is required.", "sort": ["a", "b"]}, "errors": ["No."]})

    assert str(error).endswith("query: This field is required. sort: b No.")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "The request contains invalid JSON."}, "The request contains invalid JSON."),
        ({"errors": ["Invalid request: JSON dictionary expected."]}, "Invalid request: JSON dictionary expected."),
        ({"error": {"rate_reset": 3.2}}, "3.2"),
        ({"error": ""}, "it gives no reason."),
        ({}, "it gives no reason."),
        ([], "it gives no reason."),
        ({"error": "line one\n  line two"}, "line one line two"),
    ],
)
def test_other_shapes_are_read_too(body: Any, said: str) -> None:
    error = rejected(body)

    assert type(error) is BadRequest
    assert str(error) == f"Close rejects POST /data/search/ (400): {said}"


def test_an_error_page_is_not_repeated() -> None:
    answer = httpx.Response(400, content=b"<html>" + b"x" * 10_000)

    assert str(refusal(ME, answer, retry_after=0)).endswith("it gives no reason.")


def test_a_long_rejection_is_cut() -> None:
    assert len(str(rejected({"error": "x" * 10_000}))) < 600


def test_a_key_that_close_quotes_back_is_not_repeated() -> None:
    error = rejected({"field-errors": {"query": "Invalid value api_0123.4567"}})

    assert "0123" not in str(error) + str(error.field_errors)


@given(status=st.integers(300, 599), body=JSON_BODIES)
def test_whatever_close_answers_it_is_one_line_and_an_error_of_ours(status: int, body: Any) -> None:
    error = refusal(ME, httpx.Response(status, json=body), retry_after=1.5)

    assert isinstance(error, CloseError)
    assert error.status == status
    assert "\n" not in str(error)
