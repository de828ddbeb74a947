"""What Close documents that may be sent, the sandbox takes or refuses by name; and it takes nothing else."""

from collections.abc import Iterator

import pytest
from asking import GOOD, Close
from documented import DOCUMENT, Operation, assert_documented
from support.close_account import ADMIN, CloseAccount, lead

REQUESTS = [Operation.read(text) for text in DOCUMENT["requests"]]
CHOICES = [
    (operation, name, choice)
    for operation in REQUESTS
    for name, choices in DOCUMENT["requests"][str(operation)]["choices"].items()
    for choice in choices
]
REFUSED = [
    (operation, name, choice)
    for operation in REQUESTS
    for name, choices in DOCUMENT["requests"][str(operation)].get("refused", {}).items()
    for choice in choices
]


@pytest.fixture
def close(sandbox: CloseAccount) -> Iterator[Close]:
    sandbox.add(lead("Acme"))
    with Close(sandbox, ADMIN) as asking:
        yield asking


@pytest.mark.parametrize("operation", REQUESTS, ids=str)
def test_every_documented_field_is_accepted(close: Close, operation: Operation):
    body = {**GOOD[str(operation)](close), **DOCUMENT["requests"][str(operation)]["fields"]}

    assert_documented(operation, close.ask(operation, json=body))


@pytest.mark.parametrize(("operation", "name", "choice"), CHOICES, ids=str)
def test_every_documented_choice_is_accepted_and_shown(close: Close, operation: Operation, name: str, choice: str):
    answer = close.ask(operation, json={**GOOD[str(operation)](close), name: choice})

    assert_documented(operation, answer)
    assert answer.json()[name] == choice


@pytest.mark.parametrize(("operation", "name", "choice"), REFUSED, ids=str)
def test_a_documented_choice_that_the_sandbox_does_not_know_is_refused_by_name(
    close: Close, operation: Operation, name: str, choice: str
):
    answer = close.ask(operation, json={**GOOD[str(operation)](close), name: choice})

    assert_documented(operation, answer, 400)
    assert choice in answer.json()["field-errors"][name]


@pytest.mark.parametrize(("operation", "name"), sorted({each[:2] for each in CHOICES}), ids=str)
def test_no_other_choice_is_accepted(close: Close, operation: Operation, name: str):
    answer = close.ask(operation, json={**GOOD[str(operation)](close), name: "sideways"})

    assert_documented(operation, answer, 400)
    assert list(answer.json()["field-errors"]) == [name]
