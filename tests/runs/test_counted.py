"""Numbers with their nouns."""

import pytest

from tasks.runs.wording import counted


@pytest.mark.parametrize(("number", "words"), [(0, "0 leads"), (1, "1 lead"), (2, "2 leads"), (1234, "1,234 leads")])
def test_a_number_has_its_noun_in_the_singular_or_the_plural(number: int, words: str) -> None:
    assert counted(number, "lead") == words


def test_an_irregular_plural_is_given() -> None:
    assert counted(1, "opportunity", "opportunities") == "1 opportunity"
    assert counted(2, "opportunity", "opportunities") == "2 opportunities"
