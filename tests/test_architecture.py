"""The arrows between the rooms, who may import what from outside, and what starting up costs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import invented
import pytest

from captioner.index import Index

PACKAGE = Path(__file__).resolve().parent.parent / "captioner"
MODULES = sorted(PACKAGE.rglob("*.py"))

SHARED = {"types", "errors", "places", "__init__"}
ROOMS = {
    "photos": set(),
    "model": set(),
    "index": set(),
    "pipeline": {"photos", "model", "index"},
    "training": {"photos", "model"},
    "api": {"photos", "model", "pipeline"},
    "__main__": {"cli"},
    "cli": {"photos", "model", "index", "pipeline", "training", "api"},
}
HEAVY = {"keras", "tensorflow", "openvino", "torch", "jax"}


def room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(module: Path) -> Iterator[tuple[str, bool]]:
    """What a module imports anywhere in it; True for what only a type checker sees."""

    def visit(node: ast.AST, typing_only: bool) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.Import):
            yield from ((alias.name, typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            yield from ((f"{node.module}.{alias.name}", typing_only) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield ast.unparse(node.args[0]).strip("'"), typing_only
        under_check = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, typing_only or under_check)

    return visit(ast.parse(module.read_text("utf-8")), False)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_between_rooms(module: Path) -> None:
    here = room(module)
    for name, typing_only in imports(module):
        package, _, rest = name.partition(".")
        if package != "captioner" or typing_only:
            continue
        there = rest.partition(".")[0]
        if not (PACKAGE / there).is_dir() and not (PACKAGE / f"{there}.py").is_file():
            continue  # a name of captioner/__init__.py itself
        allowed = ROOMS[here] | {here} | SHARED if here in ROOMS else SHARED | {"api"}
        assert there in allowed, f"{here} may not import {name}"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_who_may_import_what_from_outside(module: Path) -> None:
    here, name = room(module), str(module.relative_to(PACKAGE))
    outside = {full.partition(".")[0] for full, _ in imports(module)}
    if here != "cli":
        assert not outside & {"typer", "rich", "click"}
    if here != "training" and name != "model/networks.py":
        assert not outside & {"keras", "tensorflow"}
    if name != "model/openvino.py":
        assert "openvino" not in outside
    assert not outside & {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_reads_code_from_data(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.keyword):
            assert node.arg != "allow_pickle" or ast.unparse(node.value) == "False"
            assert node.arg != "safe_mode" or ast.unparse(node.value) == "True"
        if isinstance(node, ast.Call):
            assert not ast.unparse(node.func).endswith("enable_unsafe_deserialization")


def loaded_by(*arguments: str, home: Path) -> set[str]:
    """Top-level modules that a command has loaded when its process ends."""
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*{n.partition('.')[0] for n in sys.modules},"
        " file=sys.stderr))\n"
        "from captioner.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, check=False,
        cwd=PACKAGE.parent, env={**os.environ, "CAPTIONER_HOME": str(home)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def test_help_loads_next_to_nothing(tmp_path: Path) -> None:
    loaded = loaded_by("--help", home=tmp_path)
    assert not loaded & (HEAVY | {"numpy", "PIL", "rich", "sqlite3"})


def test_search_loads_no_engine(tmp_path: Path) -> None:
    with Index.open(tmp_path / "captioner.db", write=True) as index:
        index.store([invented.description("dog.jpg", "A dog runs.")], "model")
    loaded = loaded_by("search", "--exact", "dog", home=tmp_path)
    assert not loaded & (HEAVY | {"PIL", "rich"})
