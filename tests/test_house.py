"""The house: which room may open which door, what stands at the top, and what no file may name."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from test_mutations import MUTATIONS, Mutation

HOUSE = Path(__file__).parent.parent
ROOMS = ("flows", "tasks", "deployments")
PURE = (
    *("criteria", "runs.outcomes", "backup.place", "plan.account", "plan.model", "plan.checks", "plan.overrides"),
    *("ledger.record", "report.model", "report.escaping", "report.picture", "report.page"),
)
ORDER = (
    *("close", "runs", "criteria", "plan", "ledger", "report", "approval", "backup"),
    *("bulk_delete", "restore", "summary", "doctor"),
)
"""The packages of tasks/. Each may import those that stand before it."""
LONGEST = 300  # lines of a module

# room: doors that stay shut. Written as prefixes of module names.
SHUT: dict[str, tuple[str, ...]] = {
    "tasks.close": ("flows", "deployments", "prefect", "tasks"),
    "tasks": ("flows", "deployments"),
    "flows": ("httpx",),
    "deployments.sandbox": ("flows", "tasks", "prefect"),
}
MAY_OPEN_THE_SANDBOX = {"flows.commands.demo", "flows.commands.sandbox"}
TOP = {
    *("flows", "tasks", "deployments", "tests", "docs", ".ci"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"),
    *("prefect.yaml", "pyproject.toml", "requirements.lock", "Makefile"),
    *(".env.example", ".gitignore", ".pre-commit-config.yaml"),
}
# In pieces, so that this file doesn't name them either.
REGISTRIES = [
    ".".join(pieces)
    for pieces in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("golang", "org"),
    )
]


def name_of(path: Path) -> str:
    """The module that *path* holds."""
    return ".".join(path.relative_to(HOUSE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for room in ROOMS for path in sorted((HOUSE / room).rglob("*.py"))}


def imports(module: str) -> Iterator[str]:
    """Every module or name in a module that *module* imports, at its top or inside a function."""
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def inside(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


@pytest.mark.parametrize("room", SHUT)
def test_the_arrows_run_one_way(room: str):
    """flows → tasks → tasks.close; the sandbox reads Close's format on its own, so that a misreading shows."""
    members = [module for module in MODULES if inside(module, room)]
    wrong = [
        f"{module} imports {name}"
        for module in members
        for name in imports(module)
        if any(inside(name, door) for door in SHUT[room]) and not (inside(name, room) and room == "tasks.close")
    ]

    assert members
    assert wrong == []


def test_only_the_commands_that_need_it_open_the_sandbox():
    opened = {
        name for name in MODULES if inside(name, "flows") for each in imports(name) if inside(each, "deployments")
    }

    assert opened <= MAY_OPEN_THE_SANDBOX


def reached(module: str, seen: set[str]) -> set[str]:
    """Everything that *module* imports of ours, and what that imports; and the names of all else."""
    for name in imports(module):
        ours = name if name in MODULES else name.rpartition(".")[0]
        if ours in MODULES and ours not in seen:
            seen.add(ours)
            reached(ours, seen)
        elif ours not in MODULES:
            seen.add(name)
    return seen


@pytest.mark.parametrize("room", PURE)
def test_the_pure_core_needs_no_prefect(room: str):
    """Neither itself nor through what it imports: a query can be shown, and a plan checked, without a second's wait."""
    members = [module for module in MODULES if inside(module, f"tasks.{room}")]

    assert members
    assert [name for each in members for name in reached(each, set()) if inside(name, "prefect")] == []


def package_of(module: str) -> str:
    """The package of tasks/ that *module* belongs to."""
    return module.split(".")[1]


def test_the_packages_of_tasks_import_only_what_stands_before_them():
    members = [module for module in MODULES if inside(module, "tasks") and module != "tasks"]
    wrong = [
        f"{module} imports {name}"
        for module in members
        for name in imports(module)
        if inside(name, "tasks") and ORDER.index(package_of(name)) > ORDER.index(package_of(module))
    ]

    assert {package_of(module) for module in members} == set(ORDER)
    assert wrong == []


def test_tasks_holds_packages_and_the_doctor():
    assert {path.stem for path in (HOUSE / "tasks").glob("*.py")} == {"__init__", "doctor"}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_stays_short(module: str):
    """One screenful of purpose. When one grows over this, look for the second idea in it."""
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize(
    "module", ["flows.cli", "flows.lead_cleanup", "tasks.criteria.policy", "tasks.close", "deployments.sandbox"]
)
def test_the_packages_imported_are_ours(module: str):
    """Their names are common: another package called tasks, or a folder of tests, must not come first."""
    found = import_module(module).__file__

    assert found is not None
    assert Path(found) == MODULES[module]


def test_no_file_in_flows_bears_the_name_of_another_module():
    """Prefect puts the folder of a flow first on the path: a flows/json.py would be everybody's json."""
    files = {path.stem for path in (HOUSE / "flows").iterdir()} - {"__init__", "__main__", "__pycache__"}

    assert files
    assert files & (set(sys.stdlib_module_names) | set(packages_distributions())) == set()


def kept_files() -> list[str]:
    """The files that belong to the project, as its repository has them."""
    if not (HOUSE / ".git").exists():
        pytest.skip("not a repository: what belongs to the project isn't known")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached"], cwd=HOUSE, capture_output=True, text=True, check=True
    ).stdout
    return [name for name in listed.split("\0") if name and (HOUSE / name).is_file()]


def test_the_top_level_stays_as_it_is():
    assert {name.partition("/")[0] for name in kept_files()} == TOP


def test_no_file_names_a_package_registry():
    """The lock pins by name, version and hash, and installs from whatever index people have."""
    named = [
        f"{name} names {host}"
        for name in kept_files()
        for text in [(HOUSE / name).read_bytes().decode("utf-8", "replace")]
        for host in REGISTRIES
        if host in text
    ]

    assert named == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.guard)
def test_each_guard_that_is_taken_away_stands_in_one_place(mutation: Mutation):
    """Whether a test fails without it takes minutes, in `make test-all`; a guard that was rewritten shows here."""
    assert (HOUSE / "tasks" / mutation.file).read_text().count(mutation.was) == 1
