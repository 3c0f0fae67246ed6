"""Running commands in processes of their own, as users do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = Path(__file__).resolve().parent

HEAVY = {"keras", "tensorflow", "openvino", "torch", "jax"}
"""Packages that take a second or more to import."""

_PRINT_MODULES_AT_EXIT = """
import atexit, sys
atexit.register(lambda: print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr))
from captioner.cli import main
main(sys.argv[1:])
"""


def run(*words: object, home: Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run `captioner WORDS…`, its database and cache under `home`."""
    return _run("-m", "captioner", *words, home=home, **options)


def run_main(*words: object, home: Path) -> subprocess.CompletedProcess[str]:
    """Run `python main.py WORDS…`."""
    return _run(ROOT / "main.py", *words, home=home)


def loaded_by(*words: object, home: Path) -> set[str]:
    """Top-level modules that `captioner WORDS…` has loaded when it exits successfully."""
    done = _run("-c", _PRINT_MODULES_AT_EXIT, *words, home=home)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def _run(*words: object, home: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "CAPTIONER_HOME": str(home), "PYTHONPATH": str(ROOT)},
        **options,
    )  # fmt: skip
