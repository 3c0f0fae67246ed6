"""Writing captions into photos: captioner against exiftool, photos a second, side by side.

    python benchmarks/metadata.py FOLDER [--photos 1000]

Each way writes the same description into fresh copies of the same JPEG files. captioner goes all
the way: reads, checks, compares, keeps the record that takes it back.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from captioner.index import Index
from captioner.metadata.provenance import Words
from captioner.metadata.writer import Options, State, Writer

TEXT = "A black dog runs through shallow water with a stick in its mouth."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--called-once", type=int, default=30, help="files for exiftool one by one")
    options = parser.parse_args()
    photos = sorted(options.folder.rglob("*.jpg"))[: options.photos]
    with tempfile.TemporaryDirectory() as home:
        ways: list[tuple[str, Callable[[list[Path]], None], int]] = [
            ("captioner --no-sync", lambda files: captioner(files, Path(home), sync=False), 0),
            ("captioner", lambda files: captioner(files, Path(home), sync=True), 0),
        ]
        if shutil.which("exiftool"):
            ways += [
                ("exiftool -stay_open", stay_open, 300),
                ("exiftool, once a file", once_a_file, options.called_once),
            ]
        for name, way, limit in ways:
            files = photos[: limit or len(photos)]
            with tempfile.TemporaryDirectory() as folder:
                copies = [
                    Path(shutil.copyfile(photo, Path(folder) / f"{number}.jpg"))
                    for number, photo in enumerate(files)
                ]
                start = time.perf_counter()
                way(copies)
                pace = len(copies) / (time.perf_counter() - start)
            print(f"{name:22} {pace:8.1f} photos/s  ({len(copies)} photos)", flush=True)


def captioner(files: list[Path], home: Path, *, sync: bool) -> None:
    words = Words(TEXT, None, (), "benchmark", "2026-01-01T00:00:00+00:00")
    with (
        Index.open(home / f"{sync}.db", write=True) as index,
        Writer(index.writes(sync=sync), Options(in_place=True, sync=sync)) as writer,
    ):
        states = [writer.write(path, words).state for path in files]
    assert set(states) <= {State.WRITTEN, State.SKIPPED}


def stay_open(files: list[Path]) -> None:
    command = ["exiftool", "-stay_open", "True", "-@", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        for path in files:
            words = ("-overwrite_original", f"-XMP-dc:Description={TEXT}", str(path), "-execute")
            process.stdin.write("\n".join(words) + "\n")
            process.stdin.flush()
            while process.stdout.readline().strip() != "{ready}":
                pass
        process.stdin.write("-stay_open\nFalse\n")


def once_a_file(files: list[Path]) -> None:
    for path in files:
        subprocess.run(
            ["exiftool", "-q", "-overwrite_original", f"-XMP-dc:Description={TEXT}", str(path)],
            check=True,
        )


if __name__ == "__main__":
    main()
