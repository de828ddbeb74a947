"""The rooms of the sandbox: which may import which, and how large a module may be."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SANDBOX = Path(__file__).parent.parent.parent / "deployments" / "sandbox"
PACKAGE = "deployments.sandbox"

# Each floor may import only the floors before it; rooms on one floor don't import each other.
FLOORS = (
    ("wire",),
    ("organization",),
    ("switches",),
    ("database",),
    ("query",),
    ("objects",),
    ("seed",),
    ("state",),
    ("jobs",),
    ("http",),
    ("api", "control"),
    ("server",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
OURS = ("deployments", "flows", "tasks", "tests")
LONGEST = 300


def name_of(path: Path) -> str:
    """The module's name below the sandbox, such as ``query.fields``; empty for the sandbox itself."""
    return ".".join(path.relative_to(SANDBOX).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


MODULES = {name_of(path): path for path in sorted(SANDBOX.rglob("*.py"))}


def imports(module: str) -> Iterator[str]:
    """Every module, or name in a module, that *module* imports; none of them is relative."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(module: str) -> set[str]:
    """The modules of the sandbox that *module* imports."""
    inside = {name.removeprefix(f"{PACKAGE}.") for name in imports(module) if name.startswith(f"{PACKAGE}.")}
    return {name if name in MODULES else name.rpartition(".")[0] for name in inside}


def room_of(module: str) -> str:
    return module.partition(".")[0]


def test_every_room_has_its_floor() -> None:
    assert {room_of(module) for module in MODULES if module} == set(FLOOR)


@pytest.mark.parametrize("room", FLOOR)
def test_a_room_imports_only_what_stands_before_it(room: str) -> None:
    wrong = [
        f"{module} imports {name}"
        for module in MODULES
        if room_of(module) == room
        for name in imported_modules(module)
        if room_of(name) != room and FLOOR[room_of(name)] >= FLOOR[room]
    ]

    assert wrong == []


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    TopologicalSorter({module: imported_modules(module) - {module} for module in MODULES}).prepare()


def test_nothing_of_the_cleanup_and_nothing_of_prefect_is_imported() -> None:
    """The sandbox reads Close's format on its own, so that a misreading on one side shows on the other."""
    foreign = [
        f"{module} imports {name}"
        for module in MODULES
        for name in imports(module)
        if name.partition(".")[0] in (*OURS, "prefect") and not name.startswith(f"{PACKAGE}.")
    ]

    assert foreign == []


def test_no_module_is_longer_than_a_few_screens() -> None:
    lengths = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in MODULES.items()}

    assert {module: length for module, length in lengths.items() if length > LONGEST} == {}
