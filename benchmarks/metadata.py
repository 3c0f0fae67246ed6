"""(g) How fast captions are written into photos, compared with exiftool.

Each method writes the same sentence into the XMP of fresh copies of the same JPEG files. captioner
does all that it does in use: it reads existing captions and their authorship, verifies the new file
against the old one, stores the record for undo, and replaces the file atomically, with waiting for
the disk after every photo (the default) and without (`--no-sync`). exiftool is called once for all
photos (`-stay_open`), which is the fastest way to use it, and once per photo for a few.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import common
from captioner.index import Index
from captioner.metadata.fields import CaptionData
from captioner.metadata.outcome import WriteOptions, WriteStatus
from captioner.metadata.writer import CaptionWriter

TEXT = "A black dog runs through shallow water with a stick in its mouth."
FEW = 30
"""Photos for which exiftool is called once per photo, which takes long."""
NO_SYNC, SYNC = "captioner --no-sync", "captioner"
STAY_OPEN, ONCE_EACH = "exiftool -stay_open", "exiftool, once per photo"


def captioner(files: Sequence[Path], *, sync: bool) -> None:
    caption = CaptionData(TEXT, None, (), "benchmark", "2026-01-01T00:00:00+00:00")
    with (
        Index.open(files[0].with_name("captioner.db"), write=True) as index,
        CaptionWriter(index.writes(sync=sync), WriteOptions(in_place=True, sync=sync)) as writer,
    ):
        statuses = [writer.write(path, caption).status for path in files]
    if set(statuses) - {WriteStatus.WRITTEN, WriteStatus.SKIPPED}:
        sys.exit(f"captioner did not write all of them: {set(statuses)}")


def stay_open(files: Sequence[Path]) -> None:
    command = ["exiftool", "-stay_open", "True", "-@", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        for path in files:
            arguments = (
                "-overwrite_original",
                f"-XMP-dc:Description={TEXT}",
                str(path),
                "-execute",
            )
            process.stdin.write("\n".join(arguments) + "\n")
            process.stdin.flush()
            while process.stdout.readline().strip() != "{ready}":
                pass
        process.stdin.write("-stay_open\nFalse\n")


def once_each(files: Sequence[Path]) -> None:
    for path in files:
        command = ["exiftool", "-q", "-overwrite_original", f"-XMP-dc:Description={TEXT}"]
        subprocess.run([*command, str(path)], check=True)


def seconds_per_photo(
    write: Callable[[Sequence[Path]], None], photos: Sequence[Path], scratch: Path | None
) -> tuple[float, float]:
    """Wall-clock and CPU seconds per photo, on copies of the photos."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        copies = [
            Path(shutil.copyfile(photo, Path(folder) / f"{number:06}.jpg"))
            for number, photo in enumerate(photos)
        ]
        before = cpu_seconds()
        wall = common.seconds(lambda: write(copies))
        return wall / len(copies), (cpu_seconds() - before) / len(copies)


def cpu_seconds() -> float:
    """CPU seconds of this process and its finished children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main() -> None:
    parser = common.arguments(__doc__, count=1000, repeats=3)
    parser.add_argument(
        "--scratch",
        type=Path,
        metavar="FOLDER",
        help="folder for the copies, on the disk to measure",
    )
    options = parser.parse_args()
    if not shutil.which("exiftool"):
        sys.exit("exiftool is missing: apt-get install libimage-exiftool-perl.")
    with common.photos(options.photos, options.count) as found:
        photos = [photo.path for photo in found]
        size = sum(photo.size for photo in found) / len(found) / 1000
        methods = {
            NO_SYNC: (partial(captioner, sync=False), photos),
            SYNC: (partial(captioner, sync=True), photos),
            STAY_OPEN: (stay_open, photos),
            ONCE_EACH: (once_each, photos[:FEW]),
        }
        cpu: dict[str, list[float]] = {name: [] for name in methods}

        def work(name: str, repeat: int) -> float:
            wall, own = seconds_per_photo(*methods[name], options.scratch)
            cpu[name].append(own)
            return wall

        variants = {name: partial(work, name) for name in methods}
        times = common.side_by_side(options.repeats, variants)
    rows: list[common.Row] = [
        {
            "method": name,
            "photos/s": 1 / median(times[name]),
            "photos/CPU s": 1 / median(cpu[name]),
            f"× {STAY_OPEN}": common.ratio(times[STAY_OPEN], times[name])["ratio"],
            **common.ratio(times[ONCE_EACH], times[name], f"× {ONCE_EACH}"),
        }
        for name in methods
    ]
    notes = [
        f"{len(photos):,} JPEG files of {size:.0f} kB on average, {options.repeats} repeats; "
        f"exiftool once per photo for {len(photos[:FEW])} of them."
    ]
    common.report("Writing captions into photos", rows, notes, as_json=options.json)


if __name__ == "__main__":
    common.run(main)
