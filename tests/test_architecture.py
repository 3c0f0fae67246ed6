"""Which package may import which, who may import heavy libraries, and what start-up loads."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import fake_descriptions
import numpy as np
import pytest
from processes import HEAVY, ROOT, loaded_by

from captioner.index import Index
from captioner.model import bundle as bundles
from captioner.types import FloatArray

PACKAGE = ROOT / "captioner"
MODULES = sorted(PACKAGE.rglob("*.py"))

SHARED = {
    "types", "errors", "app_paths", "offline", "authorship", "formats", "hashing", "filenames",
    "regular_files", "system", "fusion", "keywords", "pace", "parts", "__init__",
}  # fmt: skip
ALLOWED = {
    "photos": set(),
    "model": set(),
    "index": set(),
    "metadata": set(),
    "execution": {"photos"},
    "deduplication": {"index"},
    "indexing_run": {"execution", "index", "indexing", "photos"},
    "indexing": {"deduplication", "execution", "index", "photos"},
    "merging": {"index"},
    "comparison": {"model", "photos"},
    "search": {"index", "model", "photos"},
    "library": {"execution", "index", "indexing", "model", "photos", "search"},
    "corrections": {"index"},
    "review": {"index", "model"},
    "statements": {"metadata", "photos"},
    "writing": {"index", "metadata"},
    "rendering": {"photos"},
    "web": {
        "library", "search", "indexing", "index", "model", "photos", "metadata", "execution",
        "deduplication", "rendering", "indexing_run", "comparison", "corrections", "review",
        "statements", "writing",
    },
    "training": {"photos", "model", "rendering"},
    "api": {"photos", "model", "execution"},
    "__main__": {"cli"},
    "cli": {
        "photos", "model", "index", "metadata", "execution", "indexing", "library", "search",
        "deduplication", "training", "api", "merging", "corrections", "statements",
        "writing", "web",
    },
}  # fmt: skip


def package_of(module: Path) -> str:
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
def test_packages_import_only_what_they_may(module: Path) -> None:
    here = package_of(module)
    for name, typing_only in imports(module):
        package, _, rest = name.partition(".")
        if package != "captioner" or typing_only:
            continue
        there = rest.partition(".")[0]
        if not (PACKAGE / there).is_dir() and not (PACKAGE / f"{there}.py").is_file():
            continue  # a name of captioner/__init__.py itself
        allowed = ALLOWED[here] | {here} | SHARED if here in ALLOWED else SHARED | {"api"}
        assert there in allowed, f"{here} may not import {name}"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_who_may_import_what_from_outside(module: Path) -> None:
    here, name = package_of(module), str(module.relative_to(PACKAGE))
    outside = {full.partition(".")[0] for full, typing_only in imports(module) if not typing_only}
    if here != "cli":
        assert not outside & {"typer", "rich", "click"}
    if here != "training" and not name.startswith("model/backend/"):
        loaded = {
            full.partition(".")[0] for full, typing_only in imports(module) if not typing_only
        }
        assert not loaded & {"keras", "tensorflow", "jax", "torch"}
    if here != "web":
        assert not outside & {"starlette", "uvicorn", "multipart", "anyio"}
    if here != "rendering":
        assert "jinja2" not in outside or name == "cli/browse.py"
    if not name.startswith("model/engines/"):
        assert "openvino" not in outside
    assert not outside & {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


@pytest.mark.parametrize(
    "module",
    [*sorted((PACKAGE / "formats").glob("*.py")), PACKAGE / "authorship.py"],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_formats_and_authorship_import_only_the_standard_library(module: Path) -> None:
    for name, _ in imports(module):
        assert name.partition(".")[0] in sys.stdlib_module_names


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_reads_code_from_data(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.keyword):
            assert node.arg != "allow_pickle" or ast.unparse(node.value) == "False"
            assert node.arg != "safe_mode" or ast.unparse(node.value) == "True"
        if isinstance(node, ast.Call):
            assert not ast.unparse(node.func).endswith("enable_unsafe_deserialization")


def query_bundle(folder: Path) -> str:
    """Write a bundle with all that searching needs, for three words; its model's id."""
    numbers = np.random.default_rng(1)

    def arrays(**shapes: tuple[int, ...]) -> dict[str, FloatArray]:
        return {
            name.replace("_", "."): numbers.normal(size=shape).astype(np.float32)
            for name, shape in shapes.items()
        }

    return bundles.write(
        folder,
        {"describe": {}, "search": {"joint_short": 0.5, "joint_long": 0.5}},
        arrays={
            bundles.WORDS: arrays(
                hidden_kernel=(2048, 1), hidden_bias=(1,), stems_kernel=(1, 3), stems_bias=(3,)
            ),
            bundles.JOINT: arrays(
                image_kernel=(2048, 2), image_bias=(2,),
                text_vectors=(4, 2), text_weights=(4,), text_bias=(2,),
            ),
        },
        texts={
            bundles.CONCEPTS: {"concepts": [], "kinds": []},
            bundles.LEXICON: {
                "stems": ["dog", "cat", "run"],
                "surfaces": ["dog", "cat", "running"],
                "words": ["", "dog", "cat", "runs"],
            }
        },
    ).model_id  # fmt: skip


@pytest.mark.skipif(
    not (ROOT / "weights/base/bundle.json").is_file(), reason="there is no weights/base yet"
)
def test_captioning_on_the_cpu_loads_nothing_else(tmp_path: Path) -> None:
    loaded = loaded_by("caption", ROOT / "example.jpg", "--device", "cpu", home=tmp_path)
    assert "openvino" in loaded
    assert not loaded & {"keras", "tensorflow", "nncf", "rich", "sqlite3", "sqlite_utils", "absl"}


def test_html_loads_nothing_from_elsewhere_and_has_no_code() -> None:
    for page in sorted((PACKAGE / "rendering").rglob("*.html")):
        text = page.read_text("utf-8")
        assert "//" not in text.replace("http://www.w3.org/2000/svg", ""), page
        assert "<style" not in text or page.name == "sheet.html", page  # it is one file
        assert "style=" not in text, page
        assert "|safe" not in text, page
        assert not re.search(r"<script(?! type=\"module\" src=)|\son\w+=", text), page
    for script in sorted((PACKAGE / "rendering/static").glob("*.js")):
        text = script.read_text("utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", text), (
            script
        )
        assert not re.search(r"\beval\(|new Function|https?://(?!www\.w3\.org/)", text), script


def test_help_loads_next_to_nothing(tmp_path: Path) -> None:
    loaded = loaded_by("--help", home=tmp_path)
    assert not loaded & (HEAVY | {"numpy", "PIL", "rich", "sqlite3"})


@pytest.mark.parametrize("options", [[], ["--exact"]])
def test_search_loads_no_engine(tmp_path: Path, options: list[str]) -> None:
    model_id = query_bundle(tmp_path / "bundle")
    with Index.open(tmp_path / "captioner.db", write=True) as index:
        index.store([fake_descriptions.description("dog.jpg", "A dog runs.", words=[0])], model_id)
    loaded = loaded_by("search", "dog", "--model", tmp_path / "bundle", *options, home=tmp_path)
    assert not loaded & (HEAVY | {"PIL", "rich"})
