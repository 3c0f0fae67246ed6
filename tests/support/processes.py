"""Commands as processes of their own, as a person starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = Path(__file__).resolve().parent

HEAVY = {"keras", "tensorflow", "openvino", "torch", "jax"}
"""What takes a second and more to import."""

_THEN_TELL_MODULES = """
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
    """Top-level modules that `captioner WORDS…` has loaded when it ends well."""
    done = _run("-c", _THEN_TELL_MODULES, *words, home=home)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def _run(*words: object, home: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "CAPTIONER_HOME": str(home), "PYTHONPATH": str(ROOT)},
        **options,
    )  # fmt: skip
