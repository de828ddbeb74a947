"""What the documentation shows is there, and works."""

import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from bench import table as benchmarks
from faults.happening import rows
from faults.table import committed
from support.close_account import CloseAccount, lead

from flows import cli
from tasks.close.settings import CloseSettings
from tasks.criteria.policy import Keep, Limits, Match
from tasks.runs.outcomes import Outcome

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = re.findall(r"^ *\$ (.*)$", "\n".join(page.read_text() for page in PAGES), re.MULTILINE)
COMMANDS = list(dict.fromkeys(SHOWN))


def test_every_make_command_it_shows_is_a_target() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    shown = {command.split()[1] for command in COMMANDS if command.startswith("make ")}
    assert {"demo", "test", "test-system"} <= shown <= set(targets)


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("lead-cleanup ")])
def test_every_command_it_shows_is_understood(command: str) -> None:
    cli.app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("lead-cleanup query ")])
def test_a_query_it_shows_can_be_printed(
    command: str, sandbox: CloseAccount, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.call(shlex.split(command)[1:]) == 0
    assert '"object_type"' in capsys.readouterr().out


@pytest.mark.server
@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("lead-cleanup run ")])
def test_a_run_it_shows_runs(
    command: str, sandbox: CloseAccount, empty_ledger: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against an organisation with as many junk leads as the README expects."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    sandbox.add(*(lead(f"junk {n}", "Junk", date_created=f"{1900 + n}-01-01") for n in range(94)))
    sandbox.add(*(lead(f"other {n}", last_communication_date=yesterday) for n in range(900)))
    assert cli.call(shlex.split(command)[1:]) == 0
    printed = capsys.readouterr().out
    assert (" leads are deleted" in printed) == ("--no-dry-run" in command)


def test_every_setting_is_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text()
    for name in CloseSettings.model_fields:
        assert re.search(rf"^CLOSE_{name.upper()}=", example, re.MULTILINE), name


def test_the_example_sets_nothing_of_prefects() -> None:
    """Prefect reads .env too: an empty address there would hide the server of the user's own profile."""
    example = (ROOT / ".env.example").read_text()
    assert "PREFECT_API_URL" in example
    assert not re.search(r"^PREFECT_", example, re.MULTILINE)


def test_every_rule_and_limit_is_named() -> None:
    for model in (Match, Keep, Limits):
        for name in model.model_fields:
            assert f"`{name}`" in README or name in {"allow_unknown_nodes", "max_wait_minutes"}, name


def test_every_deployment_is_named() -> None:
    for each in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        assert f"`{each['name']}`" in README


def test_every_outcome_that_can_happen_is_explained() -> None:
    for outcome in Outcome:
        assert f"`{outcome}`" in README


def test_the_fault_matrix_has_every_row_and_no_other() -> None:
    """What stands in a row is held by the tests that live through it; here, that none is missing."""
    assert list(committed()) == rows()


def test_the_page_of_benchmarks_shows_what_was_measured() -> None:
    assert benchmarks.committed().page() == benchmarks.PAGE.read_text()


def test_it_names_the_two_best_benchmarks_and_the_worst() -> None:
    shown = benchmarks.IN_README.findall(README)
    assert shown == [benchmarks.committed().in_readme()]
    assert shown[0].count("\n") == 3


def test_a_benchmark_that_misses_its_aim_says_by_how_much() -> None:
    row = benchmarks.Row(what="A run", value=3, unit="s", against="an empty flow", peer=1, aim=2)
    fast, rate = row.model_copy(update={"value": 2}), row.model_copy(update={"value": 1.5, "at_least": True})
    assert (row.verdict, fast.verdict, rate.verdict) == ("missed by 50%", "met", "missed by 25%")
    assert row.part_of_aim > rate.part_of_aim > fast.part_of_aim


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_it_links_to_exist(page: Path) -> None:
    for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not heading or heading in map(anchor, re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)), (
            heading
        )


def anchor(heading: str) -> str:
    """What a link to *heading* ends in."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def test_the_readme_leads_to_every_page() -> None:
    for page in PAGES[1:]:
        assert f"({page.relative_to(ROOT)}" in README


@pytest.mark.parametrize("command", [each for each in COMMANDS if " -m deployments." in each])
def test_a_module_it_shows_is_there_and_says_what_it_takes(command: str) -> None:
    module = shlex.split(command)[2]
    said = subprocess.run([sys.executable, "-m", module, "--help"], check=False, capture_output=True, text=True)
    assert (said.returncode, f"Usage: python -m {module} " in said.stdout) == (0, True), said.stderr
