"""Numbers with their nouns, and words of people that are cut to what Prefect can keep."""

import json

import pytest

from tasks.runs.wording import counted, shortened


@pytest.mark.parametrize(("number", "words"), [(0, "0 leads"), (1, "1 lead"), (2, "2 leads"), (1234, "1,234 leads")])
def test_a_number_has_its_noun_in_the_singular_or_the_plural(number: int, words: str) -> None:
    assert counted(number, "lead") == words


def test_an_irregular_plural_is_given() -> None:
    assert counted(1, "opportunity", "opportunities") == "1 opportunity"
    assert counted(2, "opportunity", "opportunities") == "2 opportunities"


@pytest.mark.parametrize("text", ["", "importing", "wörter", "x" * 98])
def test_what_fits_stays_as_it_is(text: str) -> None:
    assert shortened(text, 100) == text


@pytest.mark.parametrize("text", ["x" * 99, "ö" * 60, '"' * 60, "\x01" * 60, "word " * 10_000, "😀" * 30])
def test_what_does_not_is_cut_to_fit_and_says_so(text: str) -> None:
    cut = shortened(text, 100)

    assert 80 < len(json.dumps(cut, ensure_ascii=False).encode()) <= 100
    assert cut.endswith("…")
    assert text.startswith(cut[:-1])
