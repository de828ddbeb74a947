"""Help comes at once, and says something about everything."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from cyclopts import App
from rich.console import Console
from support.terminal_session import Command

from flows.cli import app

COMMANDS = [
    *("approve", "backups", "demo", "doctor", "go", "ledger"),
    *("query", "report", "restore", "resume", "run", "sandbox", "stop"),
]

LOOK_AT_ALL_HELP = """
import sys
from flows.cli import call
for words in ([], *([command] for command in sys.argv[1:])):
    assert call([*words, "--help"]) == 0
assert call(["--version"]) == 0
assert call(["query", "--match.inactive-months", "12"]) == 0
assert "prefect" not in sys.modules
import flows.commands.doctor
assert "prefect" not in sys.modules
"""
WHAT_IS_IMPORTED = """
import sys
from flows.cli import call
assert call(sys.argv[1:]) == 0
names = {name.partition(".")[0] for name in sys.modules}
print(*names, file=sys.stderr)
print(*(name for name, module in sys.modules.items() if name.startswith("tasks.")
        for model in vars(module).values() if getattr(model, "__pydantic_complete__", False)), file=sys.stderr)
"""
SLOW_TO_IMPORT = {"asyncio", "httpx", "markdown_it", "prefect", "pydantic", "pydantic_settings", "yaml"}


def test_help_and_query_and_doctor_do_not_import_prefect():
    """Prefect takes three seconds to import: only running a flow is worth them."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK_AT_ALL_HELP, *COMMANDS], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("command", "imported"),
    [
        ("--help", set[str]()),
        ("run --help", {"pydantic"}),
        ("query --match.inactive-months 12", {"pydantic", "pydantic_settings", "asyncio"}),
    ],
)
def test_a_command_imports_only_what_it_needs(command: str, imported: set[str]):
    """pydantic-settings brings asyncio."""
    names, _ = _imports(command)

    assert set(names.split()) & SLOW_TO_IMPORT == imported


def test_the_flags_come_from_the_models_without_building_them():
    """Building a model, which prepares its validation, takes longer than reading its fields."""
    _, built = _imports("run --help")

    assert not built


def test_running_a_flow_at_a_lasting_server_does_not_import_one():
    """Importing Prefect's server takes longer than importing the rest of Prefect."""
    look = "import sys, flows.console.engine; sys.exit('prefect.server' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def _imports(command: str) -> list[str]:
    """Two lines: the packages that *command* imports, and the modules of which it builds models."""
    done = subprocess.run(
        [sys.executable, "-c", WHAT_IS_IMPORTED, *command.split()], capture_output=True, text=True, check=True
    )
    return done.stderr.split("\n")[:2]


def test_there_are_these_commands_and_no_others(lead_cleanup: Command):
    assert sorted(name for name in app if not name.startswith("-")) == COMMANDS
    assert all(command in lead_cleanup("--help").out for command in COMMANDS)


def _flags() -> Iterator[tuple[str, str]]:
    for command in COMMANDS:
        found: App = app[command]
        yield command, found.help
        for argument in found.assemble_argument_collection():
            yield f"{command} {argument.name}", argument.parameter.help or ""


@pytest.mark.parametrize(("what", "text"), [pytest.param(*each, id=each[0]) for each in _flags()])
def test_every_command_and_flag_has_a_sentence_of_help(what: str, text: str):
    assert len(text.split()) > 1, what
    assert text.strip().endswith((".", ")")), what


@pytest.mark.parametrize("command", ["", "run", "query"])
def test_every_command_and_every_flag_of_a_cleanup_is_one_line_at_100_columns(
    lead_cleanup: Command, monkeypatch: pytest.MonkeyPatch, command: str
):
    """Columns in which a line is continued begin with blanks."""
    monkeypatch.setattr(app, "console", Console(width=100))  # it keeps the width of its first help

    said = lead_cleanup(*command.split(), "--help").out.splitlines()

    assert [line for line in said if line.startswith("│   ") and line.strip(" │")] == []
    assert all(f"--{name}" in " ".join(said) for name in ("match.status", "keep.status", "limits.batch") if command)


def test_exit_codes_stand_where_a_command_ends_as_a_run_does(lead_cleanup: Command):
    """Elsewhere they would be about something that can't happen there."""
    assert [each for each in COMMANDS if "Exit codes: " in lead_cleanup(each, "--help").out] == [
        *("report", "restore", "resume", "run"),
    ]


def test_version_is_that_of_the_package(lead_cleanup: Command):
    assert lead_cleanup("--version").out.strip() == "0.1.0"
