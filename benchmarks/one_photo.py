"""(j) One photo: `python main.py -i example.jpg`, from the command to the caption.

Wall-clock and CPU seconds of processes, of this tree and of another one, alternately, so that a
change is compared with what was there before. Each tree has its own cache: full, as at every run
but the first, and empty, as at the first. The note says whether both print the same caption. "In a
terminal" is how long it takes until something is on the screen.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks import common

ROOT = Path(__file__).resolve().parents[1]
HERE, OTHER = "this tree", "other tree"


@dataclass(frozen=True, slots=True)
class Tree:
    """A checkout, and a home of its own for the cache."""

    folder: Path
    home: Path

    def caption(self, photo: Path, *, empty: bool = False) -> tuple[float, float, str]:
        """Wall-clock seconds, CPU seconds and the caption of one process."""
        if empty:
            shutil.rmtree(self.home, ignore_errors=True)
        start, before = perf_counter(), os.times()
        done = subprocess.run(
            self._command(photo), env=self._environment(), check=False, capture_output=True,
            text=True,
        )  # fmt: skip
        wall, after = perf_counter() - start, os.times()
        if done.returncode or not done.stdout:
            sys.exit(f"{self.folder}: main.py failed:\n{done.stderr}")
        processor = after.children_user + after.children_system
        processor -= before.children_user + before.children_system
        return wall, processor, done.stdout.strip()

    def first_sign(self, photo: Path) -> float:
        """Seconds until something is on the screen of a terminal."""
        import pty

        ours, theirs = pty.openpty()
        start = perf_counter()
        process = subprocess.Popen(
            self._command(photo), env=self._environment(), stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        select.select([ours], [], [], 60)
        seconds = perf_counter() - start
        try:
            while os.read(ours, 4096):
                pass
        except OSError:  # the other end is closed
            pass
        process.wait()
        os.close(ours)
        return seconds

    def _command(self, photo: Path) -> list[str]:
        return [sys.executable, str(self.folder / "main.py"), "-i", str(photo)]

    def _environment(self) -> Mapping[str, str]:
        names = {"CAPTIONER_HOME": str(self.home), "PYTHONPATH": str(self.folder), "TERM": "xterm"}
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, **names}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--other", type=Path, metavar="TREE", help="another checkout of captioner, to compare with"
    )
    parser.add_argument(
        "--photo", type=Path, default=ROOT / "example.jpg", metavar="FILE", help="example.jpg"
    )
    common.add_run_options(parser, repeats=7)
    options = parser.parse_args()
    if options.model:
        os.environ["CAPTIONER_MODEL"] = str(options.model.absolute())
    with tempfile.TemporaryDirectory(prefix="captioner-benchmark-") as scratch:
        folders = {HERE: ROOT} | ({OTHER: options.other.resolve()} if options.other else {})
        trees = {
            name: Tree(folder, Path(scratch) / f"home {number}")
            for number, (name, folder) in enumerate(folders.items())
        }
        photo = options.photo.resolve()
        captions = {name: tree.caption(photo)[2] for name, tree in trees.items()}
        processor: dict[str, list[float]] = {}

        def work(name: str, tree: Tree, empty: bool, _: int) -> float:
            wall, own, _caption = tree.caption(photo, empty=empty)
            processor.setdefault(name, []).append(own)
            return wall

        rows: list[common.Row] = []
        for cache in ("full", "empty"):
            names = {name: f"{name}, cache {cache}" for name in trees}
            variants = {
                names[name]: partial(work, names[name], tree, cache == "empty")
                for name, tree in trees.items()
            }
            times = common.side_by_side(options.repeats, variants)
            rows += [
                {
                    "process": names[name],
                    "lowest seconds": min(times[names[name]]),
                    "seconds": median(times[names[name]]),
                    **common.ratio(times[names[name]], times[names[HERE]], f"÷ {HERE}"),
                    "CPU seconds": median(processor[names[name]]),
                }
                for name in trees
            ]
        if sys.platform != "win32":
            signs = common.side_by_side(
                options.repeats,
                {
                    f"{name}, in a terminal": lambda _, tree=tree: tree.first_sign(photo)
                    for name, tree in trees.items()
                },
            )
            rows += [
                {"process": name, "lowest seconds": min(own), "seconds": median(own)}
                for name, own in signs.items()
            ]
    same = "the same caption" if len(set(captions.values())) == 1 else f"other captions: {captions}"
    notes = [f"{options.repeats} repeats; {same}: {captions[HERE]}"]
    common.report("One photo", rows, notes, as_json=options.json)


if __name__ == "__main__":
    common.run(main)
