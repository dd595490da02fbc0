"""The arrows of the house, proven by reading every first-party import, lazy ones included.

Each package names its floors from the ground up; an import may only lead down. There is no list of
exceptions.
"""

import ast
from pathlib import Path

import pytest

from components.base.fingerprint import ROOT, imported_modules

FLOORS: dict[str, list[set[str]]] = {
    "": [{"serving"}, {"components"}, {"export"}, {"pipeline"}, {"benchmarks"}],
    "serving": [
        {"contract"},
        {"store"},
        {"inference"},
        {"server", "predict"},
        {"configs"},
        {"__main__"},
    ],
    "components": [
        {"base"},
        {"networks", "sources"},
        {"data"},
        {"augmentation", "evaluation", "gates"},
        {"features"},
        {"training"},
    ],
    "export": [
        {"formats"},
        {"verification"},
        {"mobile"},
        {"release"},
        {"export_formats"},
        {"exporter"},
        {"command_line", "check", "export_tfx"},
        {"__main__"},
    ],
    "pipeline": [
        {"configuration"},
        {"line", "search"},
        {"outcome"},
        {"operation"},
        {"commands"},
        {"__main__"},
    ],
}
OPEN_TO_COMPONENTS = ("contract", "store", "inference")
"""The rooms of `serving` that others may enter."""


def _files() -> list[Path]:
    packages = sorted(set().union(*FLOORS[""]))
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _floor(package: str, room: str) -> int | None:
    floors = FLOORS[package]
    return next((number for number, rooms in enumerate(floors) if room in rooms), None)


IMPORTS = {_module(path): sorted(imported_modules(path)) for path in _files()}
"""Module to the first-party modules that it imports."""


def test_the_walk_finds_imports_that_are_made_lazily_and_of_modules_from_packages():
    assert "pipeline.line.dag" in IMPORTS["pipeline.commands.run"]  # inside of a function
    assert "components.base.atomic" in IMPORTS["export.exporter"]  # from components.base import
    assert sum(map(len, IMPORTS.values())) > 500


def test_no_import_runs_up_between_packages_or_between_the_rooms_of_one():
    wrong = []
    for module, imports in IMPORTS.items():
        for other in imports:
            here, there = module.split("."), other.split(".")
            if here[0] != there[0]:
                if _floor("", there[0]) >= _floor("", here[0]):
                    wrong.append(f"{module} imports {other}")
            elif here[0] in FLOORS and len(here) > 1 and here[1] != there[1]:
                mine, theirs = (_floor(here[0], room) for room in (here[1], there[1]))
                if mine is None or theirs is None or theirs >= mine:
                    wrong.append(f"{module} imports {other}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", [name for name in FLOORS if name])
def test_every_room_stands_on_a_floor(package):
    modules = {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__"}
    folders = {path.name for path in (ROOT / package).iterdir() if (path / "__init__.py").is_file()}
    assert modules | folders == set().union(*FLOORS[package])


def test_nothing_of_ours_outside_of_serving_is_imported_in_it():
    outside = [
        f"{module} imports {other}"
        for module, imports in IMPORTS.items()
        for other in imports
        if module.startswith("serving") and not other.startswith("serving")
    ]
    assert not outside


def test_the_server_is_entered_by_nobody_else():
    entered = [
        f"{module} imports {other}"
        for module, imports in IMPORTS.items()
        for other in imports
        if not module.startswith("serving")
        and other.startswith("serving.")
        and other.split(".")[1] not in OPEN_TO_COMPONENTS
    ]
    assert not entered


def test_there_is_no_circle_of_modules():
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for other in IMPORTS.get(module, ()):
                visit(other, (*path, module))
            done.add(module)

    for module in IMPORTS:
        visit(module, ())


def test_packages_hold_a_docstring_only():
    for path in _files():
        if path.name == "__init__.py":
            body = ast.parse(path.read_text()).body
            rest = [node for node in body if not isinstance(node, ast.Expr)]
            if path.parent == ROOT / "serving":
                (version,) = rest
                assert version.targets[0].id == "__version__"
            else:
                assert not rest, path
