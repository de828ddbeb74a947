"""What a run is called: as a person has named it, or else after what it does."""

import re
from pathlib import Path
from typing import Any

import prefect
import pytest
from prefect.client.orchestration import get_client
from prefect.utilities.names import generate_slug
from support.attempts import attempt, created
from support.close_account import CloseAccount

from flows.lead_cleanup import lead_cleanup
from tasks.runs.run_names import is_made_up

MADE_UP = ["alpha51-marijne", "zeta", "pi3-canis-majoris-void", "Awesome-Bear", "Small-Asian"]
TYPED = [
    "Q3",
    "First run",
    "junk of March",
    "my-run",
    "beta-2026",
    "Small steps",
    "junk: dry run: Junk",
    "lead-cleanup",
]


def test_names_that_prefect_makes_up_are_told_from_typed_ones() -> None:
    assert [name for name in (generate_slug(2) for _ in range(1000)) if not is_made_up(name)] == []
    assert [name for name in MADE_UP if not is_made_up(name)] == []
    assert [name for name in TYPED if is_made_up(name)] == []


def test_the_adjectives_are_those_of_the_installed_ui() -> None:
    """The stars and animals are known by their form; the browser's tests see a name of each UI."""
    folder = Path(prefect.__file__).parent / "server" / "ui-v2" / "assets"
    lists = [
        found[1].split("`,`")
        for script in folder.glob("deployment_._id.run-*.js")
        for found in re.finditer(r"=\[`(Awesome`,[^]]*)`\]", script.read_text())
    ]
    assert [sum(map(is_made_up, (f"{adjective}-Bear" for adjective in each))) for each in lists] == [17]


@pytest.mark.server
@pytest.mark.parametrize(
    ("match", "name"),
    [
        ({"status": ["Junk"], "inactive_months": 12}, "ad-hoc: dry run: Junk, 12 months"),
        (
            {"created_before_months": 1, "unreachable": True, "name_words": ["test"], "smart_view": "Old imports"},
            "ad-hoc: dry run: created 1 month ago, unreachable, test, Old imports",
        ),
        ({"custom_fields": {"Source": ["Import"]}, "status": ["A" * 50, "B" * 50]}, f"ad-hoc: dry run: {'A' * 50}, …"),
        ({}, "ad-hoc: refused"),
    ],
)
def test_a_run_is_named_after_its_criteria(
    empty_ledger: None, sandbox: CloseAccount, match: dict[str, Any], name: str
) -> None:
    run = created({"match": match})
    attempt(run)
    with get_client(sync_client=True) as server:
        assert server.read_flow_run(run.id).name == name


@pytest.mark.server
def test_a_name_that_a_person_has_typed_stays(empty_ledger: None, sandbox: CloseAccount) -> None:
    with get_client(sync_client=True) as server:
        run = server.create_flow_run(lead_cleanup, name="For Ann", parameters={"match": {"status": ["Junk"]}})
        attempt(run)
        assert server.read_flow_run(run.id).name == "For Ann"
