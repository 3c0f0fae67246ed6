"""(m) The page over 300,000 photos: first grid, scrolling, search as typed, memory of the server.

A headless Chromium opens the page of a server process, as a person's browser does. The database is
that of (h); its photos do not exist, so the server's cache of thumbnails answers for each with one
of some real photos. `--database FILE` keeps the database, and reuses it if it exists.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import common, search
from captioner.index import Index

QUERIES = ("dog running on grass", "two children in the water", "red car", "man climbing a rock")
ROWS_A_SECOND = 50
SCROLL_SECONDS = 6
SIZES = ((360, 740), (1280, 800), (2560, 1440))

_SHOWN = """
// Whether the pictures of all photos in the window are there.
() => {
  const images = [...document.querySelectorAll("#grid [role=gridcell]:not([hidden]) img")].filter(
    (image) => {
      const { top, bottom } = image.parentNode.getBoundingClientRect();
      return image.offsetParent && bottom > 0 && top < innerHeight;
    });
  if (document.getElementById("photos").hidden) return true; // nothing was found
  return images.length > 0 && images.every((image) => image.classList.contains("loaded"));
}
"""
_WAIT = (
    "(before) => new Promise((resolve) => { const shown = "
    + _SHOWN.strip().partition("\n")[2]
    + """;
  const look = () => {
    const changed = (document.documentElement.dataset.shown ?? "") !== before;
    if (changed && shown()) resolve(performance.now());
    else requestAnimationFrame(look);
  };
  look();
})"""
)
_SCROLL = """
// Scroll at so many rows a second; of each frame, whether rows cover the window, and how many of
// the photos in it have their captions.
([rows, seconds]) => new Promise((resolve) => {
  const row = document.querySelector("#grid [role=row]").offsetHeight + 12;
  const start = performance.now();
  let last = start, frames = 0, gaps = 0, seen = 0, ready = 0, longest = 0;
  const step = (now) => {
    if (frames) {
      const places = [...document.querySelectorAll("#grid [role=row]:not([hidden])")]
        .map((node) => [node.getBoundingClientRect(), node])
        .filter(([{ top, bottom }]) => bottom > 0 && top < innerHeight)
        .sort(([one], [other]) => one.top - other.top);
      let covered = 0;
      for (const [{ top, bottom }] of places) if (top <= covered + 100) covered = bottom;
      if (covered < innerHeight - 100) gaps += 1;
      for (const [, node] of places) {
        for (const cell of node.children) {
          if (cell.hidden) continue;
          seen += 1;
          if (cell.dataset.ready) ready += 1;
        }
      }
      longest = Math.max(longest, now - last);
    }
    if (now - start > seconds * 1000) {
      resolve({ frames, gaps, captions: ready / seen, longest,
                pace: window.scrollY / row / ((now - start) / 1000) });
      return;
    }
    frames += 1;
    window.scrollTo(0, ((now - start) / 1000) * rows * row);
    last = now;
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})
"""


def serve(database: Path, thumbnails: Path, model: Path | None) -> None:
    """Run the server until its standard input closes; print its first address."""
    import threading

    from captioner.model.options import DescribeOptions
    from captioner.rendering.thumbnails import TILE, ThumbnailCache
    from captioner.web.app import create_app
    from captioner.web.security import Access
    from captioner.web.server import listen, serve
    from captioner.web.workspace import Workspace

    files = sorted(thumbnails.rglob("*.jpg"))

    class OthersThumbnails(ThumbnailCache):
        """Thumbnails of real photos for those that do not exist."""

        def get(self, content_hash: bytes | None, side: int = TILE) -> bytes | None:
            return files[int.from_bytes(content_hash or b"") % len(files)].read_bytes()

    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    workspace = Workspace([database], [DescribeOptions(model)], thumbnails=OthersThumbnails())
    listener = listen("127.0.0.1", 0)
    access = Access(listener.getsockname()[1])
    serve(
        create_app(workspace, access), listener, stop.is_set,
        lambda: print(access.address, flush=True),
    )  # fmt: skip


def make_thumbnails(folder: Path, photos: Path | None, count: int) -> None:
    """Thumbnails of some real photos."""
    from captioner.rendering.thumbnails import ThumbnailCache

    cache = ThumbnailCache(folder)
    with common.photos(photos, count) as found:
        for photo in found:
            cache.make(photo)


def megabytes(process: int, name: str) -> float | None:
    """The present (VmRSS) or highest (VmHWM) memory of a process, MiB; None where unknown."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def percentile(values: Sequence[float], percent: float) -> float:
    """As of NumPy."""
    return float(np.percentile(values, percent))


def measure(browser: Any, address: str, repeats: int) -> tuple[list[common.Row], list[common.Row]]:
    """Open the page, scroll and type, in windows of several sizes."""
    rows: list[common.Row] = []
    keystrokes: list[common.Row] = []
    for width, height in SIZES:
        context = browser.new_context(viewport={"width": width, "height": height})
        page = context.new_page()
        page.goto(address)
        page.evaluate(_WAIT, "")
        first = []
        for _ in range(repeats):
            page.goto(address.partition("?")[0])
            first.append(page.evaluate(_WAIT, ""))  # since the navigation began
        scrolled = page.evaluate(_SCROLL, [ROWS_A_SECOND, SCROLL_SECONDS])
        stopped = page.evaluate("() => performance.now()")
        pictures = page.evaluate(_WAIT, "") - stopped
        rows.append(
            {
                "window": f"{width} × {height}",
                "first grid, ms": median(first),
                "rows/s": scrolled["pace"],
                "frames/s": scrolled["frames"] / SCROLL_SECONDS,
                "longest frame, ms": scrolled["longest"],
                "frames with a gap": float(scrolled["gaps"]),
                "captions there, %": 100 * scrolled["captions"],
                "pictures after the stop, ms": pictures,
            }
        )
        common.progress(f"{width}: typing")
        keystrokes.append({"window": f"{width} × {height}", **typed(page)})
        context.close()
    return rows, keystrokes


def typed(page: Any) -> dict[str, float]:
    """Type some queries letter by letter: from each key to all pictures in the window, ms."""
    times: list[float] = []
    for query in QUERIES:
        page.goto(page.url.partition("?")[0])
        page.evaluate(_WAIT, "")
        page.focus("#q")
        for letter in query:
            before = page.evaluate("() => document.documentElement.dataset.shown")
            page.evaluate(
                "() => addEventListener('keydown', () => { window.pressed = performance.now(); },"
                " { once: true, capture: true })"
            )
            page.keyboard.press(letter if letter != " " else "Space")
            done = page.evaluate(_WAIT, before)
            times.append(done - page.evaluate("() => window.pressed"))
    return {
        "keystrokes": float(len(times)),
        "median, ms": median(times),
        "p95, ms": percentile(times, 95),
        "longest, ms": max(times),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="photos to begin with")
    parser.add_argument(
        "--seeds", type=int, default=500, metavar="N", help="how many of them are described (500)"
    )
    parser.add_argument(
        "--count", type=int, default=300_000, metavar="N",
        help="photos in the database (300,000)",
    )  # fmt: skip
    parser.add_argument("--database", type=Path, metavar="FILE", help="keep the database here")
    parser.add_argument("--chromium", metavar="FILE", help="the browser; default: Playwright's own")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    common.add_run_options(parser, repeats=5)
    options = parser.parse_args()
    if options.serve:
        serve(options.database, options.serve, options.model)
        return
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(prefix="captioner-benchmark-") as scratch:
        database = options.database or Path(scratch) / "captioner.db"
        if not database.exists():
            search.build(database, options)
        make_thumbnails(Path(scratch) / "thumbnails", options.photos, options.seeds)
        with Index.open(database) as index:
            count = index.counts().described
        model = ["--model", str(options.model)] if options.model else []
        server = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.page", "--serve", str(Path(scratch) / "thumbnails"),
             "--database", str(database), *model],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ.copy(),
        )  # fmt: skip
        assert server.stdin
        assert server.stdout
        try:
            address = server.stdout.readline().strip()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=options.chromium, args=["--no-sandbox"]
                )
                rows, keystrokes = measure(browser, address, options.repeats)
                browser.close()
            memory = megabytes(server.pid, "VmRSS"), megabytes(server.pid, "VmHWM")
        finally:
            server.stdin.close()
            server.wait()
        notes = [
            f"{count:,} photos, a database of {database.stat().st_size / 1e6:,.0f} MB. Memory of "
            f"the server: {common.shown(memory[0])} MiB at the end, {common.shown(memory[1])} MiB "
            "at most.",
            "first grid: from the navigation to all pictures in the window, without the browser's "
            "cache of pages. A frame has a gap if rows do not cover the window.",
        ]
        common.report("Opening and scrolling", rows, notes, as_json=options.json)
        common.report(
            "Search as typed", keystrokes,
            ["From a key to the pictures of its results, 50 ms of waiting for the next included."],
            as_json=options.json,
        )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
