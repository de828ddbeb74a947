"""What the documentation shows is there, and works."""

import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from bench import table as benchmarks
from faults.happening import rows
from faults.table import committed
from prefect.settings import get_current_settings
from support.close_account import CloseAccount, lead
from support.pages import ALL, COMMANDS, DOCS, PAGES, README, ROOT, TEXT, Page, commands_of

from flows import cli
from flows.console.parameters import Parameters
from tasks.close.settings import CloseSettings
from tasks.criteria.policy import Keep, Limits, Match
from tasks.runs.outcomes import Outcome

MAKEFILE = (ROOT / "Makefile").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
COMPOSE = (ROOT / "deployments/docker/compose.yaml").read_text()
PREFECT_YAML = (ROOT / "prefect.yaml").read_text()
NOT_OURS = {"--all", "--constraint"}
"""Flags of other programs that a page names."""


# --- pages ------------------------------------------------------------------------------------------------------------


def test_the_readme_is_read_in_a_few_minutes() -> None:
    assert len(README.text.splitlines()) <= 150


def test_every_page_is_reached_from_the_readme() -> None:
    seen, left = {README}, [README]
    while left:
        new = set(left.pop().linked()) - seen
        seen |= new
        left += new
    assert DOCS
    assert [page.name for page in DOCS if page not in seen] == []


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_its_links_lead_somewhere(page: Page) -> None:
    for file, anchor in page.links:
        assert file.exists(), file
        assert not anchor or anchor in Page(str(file.relative_to(ROOT))).anchors, f"{file.name}#{anchor}"


# --- commands ---------------------------------------------------------------------------------------------------------


def is_a_target(words: list[str]) -> bool:
    variables = (word.partition("=")[0] for word in words[2:])
    return bool(re.search(rf"^{words[1]}:.*## ", MAKEFILE, re.MULTILINE)) and all(
        f"$({v})" in MAKEFILE for v in variables
    )


def is_understood(words: list[str]) -> bool:
    cli.app.parse_args(words[1:], exit_on_error=False, print_error=False)
    return True


def is_a_setting(words: list[str]) -> bool:
    """Of ours, of Prefect's or of the compose file's."""
    known = {*get_current_settings().to_environment_variables(), *re.findall(r"\w+", EXAMPLE + COMPOSE)}
    return {word.partition("=")[0] for word in words[1:]} <= known


def is_a_module(words: list[str]) -> bool:
    return words[1] == "-m" and find_spec(words[2]) is not None


def names_what_is_there(words: list[str]) -> bool:
    return all(list(ROOT.glob(word)) for word in words if word.startswith("deployments/"))


def of_others() -> dict[str, Callable[[list[str]], bool]]:
    programs = ("cp", "createdb", "docker", "dropdb", "mkdir", "pg_dump", "pg_restore", "prefect", "sqlite3")
    return dict.fromkeys((*programs, "systemctl", "useradd"), names_what_is_there)


CHECKED: dict[str, Callable[[list[str]], bool]] = {
    "make": is_a_target,
    "lead-cleanup": is_understood,
    "python": is_a_module,
    "source": lambda words: words[1:] == [".venv/bin/activate"],
    "export": is_a_setting,
    ".venv/bin/prefect": lambda words: shlex.join(["$(BIN)/prefect", *words[1:]]).replace("'", "") in MAKEFILE,
    **of_others(),
}
"""How a command is checked, by its first word. What isn't here can't be in the documentation."""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_understood(command: str) -> None:
    words = shlex.split(command)
    if set_for_it := list(takewhile(lambda word: "=" in word, words)):
        assert is_a_setting(["", *set_for_it])
    words = words[len(set_for_it) :]
    assert CHECKED[words[0]](words)


def test_the_readme_shows_the_way_in() -> None:
    assert {"make demo", "make test", "make install", "make server", "make deploy", "make worker"} <= {*README.commands}


def test_every_flag_that_is_named_is_one() -> None:
    commands = [cli.app[name] for name in cli.COMMANDS]
    flags = {flag for each in commands for argument in each.assemble_argument_collection() for flag in argument.names}
    code = [each for page in PAGES for each in re.findall(r"`([^`]+)`", page.prose)]
    named = {flag for each in code for flag in re.findall(r"(?<!\w)--[a-z][\w.-]*", each)}
    assert named - flags == NOT_OURS


@pytest.mark.parametrize("command", commands_of("lead-cleanup query"))
def test_a_query_can_be_printed(
    command: str, sandbox: CloseAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "filters.json").write_text('{"type": "text", "mode": "full_words", "value": "junk"}')
    assert cli.call(shlex.split(command)[1:]) == 0
    assert '"object_type"' in capsys.readouterr().out


@pytest.mark.server
@pytest.mark.parametrize("command", [each for each in commands_of("lead-cleanup run") if "firstdelete" not in each])
def test_a_run_runs(
    command: str, sandbox: CloseAccount, empty_ledger: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against an organisation with as many junk leads as the pages expect."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    sandbox.add(*(lead(f"junk {n}", "Junk", date_created=f"{1900 + n}-01-01") for n in range(51)))
    sandbox.add(*(lead(f"other {n}", last_communication_date=yesterday) for n in range(500)))
    assert cli.call(shlex.split(command)[1:]) == 0
    printed = capsys.readouterr().out
    assert (" leads are deleted" in printed) == ("--no-dry-run" in command)


# --- YAML -------------------------------------------------------------------------------------------------------------


def is_deployed(text: str, folder: Path) -> None:
    """Entries below the `deployments` of prefect.yaml, which is read as `make deploy` reads it."""
    from deployments import prefect_yaml

    for name in ("flows", "tasks"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "prefect.yaml").write_text(f"{PREFECT_YAML}\n{text}")
    before, after = (prefect_yaml.read(each / "prefect.yaml").deployments for each in (ROOT, folder))
    assert len(after) > len(before)
    for each in after[len(before) :]:
        Parameters.model_validate(each.parameters)


def is_of_a_cleanup(text: str, folder: Path) -> None:
    """Parameters of a deployment."""
    parameters = {"match": {"status": ["Junk"]}, **yaml.safe_load(text)}
    assert Parameters.model_validate(parameters).model_fields_set == {*parameters}


@pytest.mark.parametrize("block", [each for page in PAGES for each in page.blocks("yaml")])
def test_the_yaml_can_be_used(block: str, tmp_path: Path) -> None:
    (is_deployed if block.startswith("  - <<: *cleanup\n") else is_of_a_cleanup)(block, tmp_path)


def examples(page: str, part: str) -> dict[str, Any]:
    """The first YAML block of *page* that begins with *part*."""
    block = next(each for each in Page(f"docs/{page}.md").blocks("yaml") if each.startswith(f"{part}:"))
    return cast("dict[str, Any]", yaml.safe_load(block)[part])


def test_every_limit_is_shown_with_its_default() -> None:
    shown = examples("limits", "limits")
    assert Limits.model_validate(shown) == Limits()
    assert {*shown, "batch"} == {*Limits.model_fields}


def test_every_rule_is_shown_and_those_that_are_on_first() -> None:
    assert {*examples("criteria", "match"), "allow_unknown_nodes"} == {*Match.model_fields}
    keep, on = examples("criteria", "keep"), Keep().model_dump(exclude_defaults=False, exclude_none=True)
    on = {name: value for name, value in on.items() if value is not False}
    assert {*keep} == {*Keep.model_fields}
    assert dict(list(keep.items())[: len(on)]) == on


# --- what there is, and what is named ---------------------------------------------------------------------------------


def test_every_setting_is_in_the_example() -> None:
    for name in CloseSettings.model_fields:
        assert re.search(rf"^CLOSE_{name.upper()}=", EXAMPLE, re.MULTILINE), name


def test_every_setting_that_is_named_is_one() -> None:
    named = {*re.findall(r"CLOSE_[A-Z_]+", TEXT)} - {"CLOSE_"}
    assert named <= {f"CLOSE_{name.upper()}" for name in CloseSettings.model_fields}


def test_the_example_sets_nothing_of_prefects() -> None:
    """Prefect reads .env too: an empty address there would hide the server of the user's own profile."""
    assert "PREFECT_API_URL" in EXAMPLE
    assert not re.search(r"^PREFECT_", EXAMPLE, re.MULTILINE)


def test_every_deployment_is_named() -> None:
    for each in yaml.safe_load(PREFECT_YAML)["deployments"]:
        assert f"`{each['name']}`" in README.text


def test_every_outcome_that_can_happen_is_explained() -> None:
    for outcome in Outcome:
        assert f"`{outcome}`" in Page("docs/outcomes.md").text


def test_the_fault_matrix_has_every_row_and_no_other() -> None:
    """What stands in a row is held by the tests that live through it; here, that none is missing."""
    assert list(committed()) == rows()


# --- benchmarks -------------------------------------------------------------------------------------------------------


def test_the_page_of_benchmarks_shows_what_was_measured() -> None:
    assert benchmarks.committed().page() == benchmarks.PAGE.read_text()


def test_the_readme_names_the_two_best_benchmarks_and_the_worst() -> None:
    shown = benchmarks.IN_README.findall(README.text)
    assert shown == [benchmarks.committed().in_readme()]
    assert shown[0].count("\n") == 3


def test_a_benchmark_that_misses_its_aim_says_by_how_much() -> None:
    row = benchmarks.Row(what="A run", value=3, unit="s", against="an empty flow", peer=1, aim=2)
    fast, rate = row.model_copy(update={"value": 2}), row.model_copy(update={"value": 1.5, "at_least": True})
    assert (row.verdict, fast.verdict, rate.verdict) == ("missed by 50%", "met", "missed by 25%")
    assert row.part_of_aim > rate.part_of_aim > fast.part_of_aim
