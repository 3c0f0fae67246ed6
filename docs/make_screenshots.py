"""Take the screenshots of docs/page.md: `python docs/make_screenshots.py PHOTOS`.

PHOTOS is a folder that `python docs/demo_photos.py PHOTOS` made. It is copied, indexed and opened
in Chromium; the pictures go to docs/images/. `--other BUNDLE` is the model that uploads are
compared with; without it, the model that ships is compared with itself.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs/images"
CAPTIONER = (sys.executable, "-m", "captioner")
MAX_BYTES = 150_000
SIZES = {"phone": (390, 780), "laptop": (1280, 800), "large": (2560, 1440), "tall": (1280, 1720)}


def main() -> None:
    """Index the photos, start the page, take all screenshots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--other", type=Path, default=ROOT / "weights/base")
    parser.add_argument("--only", help="take only screenshots whose names contain this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ |= {"CAPTIONER_HOME": f"{scratch}/home", "PYTHONUNBUFFERED": "1"}
        folder = _library(options.photos, Path(scratch) / "Photos")
        with _server(options.other) as address, sync_playwright() as driver:
            browser = driver.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-sandbox"] if os.geteuid() == 0 else [],
            )
            for name, size, scheme, take in SCREENSHOTS:
                if options.only and options.only not in name:
                    continue
                width, height = SIZES[size]
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme=scheme,
                    device_scale_factor=2 if size == "phone" else 1,
                )
                context.set_default_timeout(120_000)
                page = context.new_page()
                page.goto(address)
                take(page, address, folder)
                page.wait_for_load_state("networkidle")
                _save(page.screenshot(), name, scale=0.5 if size == "large" else 1)
                context.close()
            browser.close()


def _library(photos: Path, folder: Path) -> Path:
    """A copy of the photos, indexed, with a duplicate and a damaged file."""
    shutil.copytree(photos, folder, ignore=shutil.ignore_patterns("CREDITS.md"))
    first, second = sorted(folder.rglob("*.jpg"))[:2]
    (folder / "from phone").mkdir()
    shutil.copyfile(first, folder / "from phone" / first.name)
    data = second.read_bytes()
    (folder / "from phone" / "damaged.jpg").write_bytes(data[: len(data) // 2])
    subprocess.run([*CAPTIONER, "index", folder], check=False, cwd=ROOT)
    return folder


@contextmanager
def _server(other: Path) -> Iterator[str]:
    """The page's server, with two models; yields its first address."""
    process = subprocess.Popen(
        [*CAPTIONER, "browse", "--no-open", "--model", ROOT / "weights/base", "--model", other],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "COLUMNS": "500"},
    )  # fmt: skip
    try:
        assert process.stdout
        yield next(
            found[0] for line in process.stdout if (found := re.search(r"https?://\S+", line))
        )
    finally:
        process.terminate()
        process.wait()


def _save(png: bytes, name: str, scale: float) -> None:
    """Save as WebP, as good as fits."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    if scale != 1:
        size = round(image.width * scale), round(image.height * scale)
        image = image.resize(size, Image.Resampling.LANCZOS)
    IMAGES.mkdir(exist_ok=True)
    for quality in range(90, 20, -5):
        out = io.BytesIO()
        image.save(out, "WEBP", quality=quality, method=6)
        if out.tell() <= MAX_BYTES:
            break
    (IMAGES / f"{name}.webp").write_bytes(out.getvalue())
    print(f"{name}: {image.width} × {image.height}, {out.tell():,} bytes, quality {quality}")


Take = Callable[[Any, str, Path], None]


def at(path: str, wait: str = "main") -> Take:
    """A screenshot of a page as it opens, once there is something."""

    def take(page: Any, address: str, folder: Path) -> None:
        page.goto(urljoin(address, path))
        page.locator(wait).first.wait_for()

    return take


def photo(query: str, caption: str) -> Take:
    """A screenshot of one photo among those that a search finds."""

    def take(page: Any, address: str, folder: Path) -> None:
        page.goto(urljoin(address, f"/?q={query}"))
        page.locator(f"[role=gridcell] a:has-text('{caption}')").first.click()
        page.locator(".suggestions button").first.wait_for()

    return take


def search(page: Any, address: str, folder: Path) -> None:
    """Typing, with suggestions of keywords."""
    box = page.get_by_role("combobox", name="Search photos")
    box.press_sequentially("win", delay=50)
    page.get_by_role("option").first.wait_for()


def upload(page: Any, address: str, folder: Path) -> None:
    """Three photos captioned by two models."""
    page.goto(urljoin(address, "/upload"))
    names = ("coffee", "polar_bear", "sunset_by_Aitzol_Berasategi")
    page.locator("#files").set_input_files([next(folder.rglob(f"{n}.jpg")) for n in names])
    page.get_by_text("3 done.").wait_for()


SCREENSHOTS: list[tuple[str, str, str, Take]] = [
    ("page-grid", "laptop", "light", at("/", "[role=gridcell] img")),
    ("page-grid-large", "large", "dark", at("/", "[role=gridcell] img")),
    ("page-grid-phone", "phone", "light", at("/?q=windmill", "[role=gridcell] img")),
    ("page-search", "laptop", "light", search),
    ("page-photo", "tall", "dark", photo("mountain", "rocky mountain")),
    ("page-upload", "laptop", "light", upload),
    ("page-review", "laptop", "light", at("/review", "#sentences button")),
    ("page-library", "laptop", "light", at("/library")),
    ("page-duplicates", "laptop", "light", at("/library/duplicates")),
    ("page-statistics", "laptop", "light", at("/statistics", "svg")),
]


if __name__ == "__main__":
    main()
