"""(n) Lighthouse's scores of the page's grid: performance, accessibility, best practices.

Needs Chromium and Lighthouse (`npm install lighthouse`, 12 with Node.js 20), which drives the
browser on this machine: nothing is fetched from or sent to anywhere. Emulates a phone, which is
slower and narrower, or a desktop computer. Without --db, the photos are indexed into a database
that is deleted afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from statistics import median
from urllib.parse import urljoin

from benchmarks import common

CATEGORIES = ("performance", "accessibility", "best-practices")
CAPTIONER = [sys.executable, "-m", "captioner"]


def main() -> None:
    parser = common.arguments(__doc__, count=200, repeats=3)
    parser.add_argument("--db", type=Path, help="a database to show instead of indexing photos")
    parser.add_argument("--path", default="/", help="which page (/)")
    parser.add_argument(
        "--lighthouse", default=shutil.which("lighthouse"), help="the program; default: on PATH"
    )
    options = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not options.lighthouse or not browser:
        sys.exit("needs Chromium (apt install chromium) and Lighthouse (npm install lighthouse@12)")
    with tempfile.TemporaryDirectory() as scratch:
        db = options.db or _index(options, Path(scratch))
        with _server(db) as address:
            rows = [
                _measured(options, browser, address, form, Path(scratch))
                for form in ("mobile", "desktop")
            ]
    title = f"Lighthouse's scores of {options.path}, of 100"
    notes = [f"Median of {options.repeats} runs."]
    common.report(title, rows, notes, as_json=options.json)


def _index(options: argparse.Namespace, scratch: Path) -> Path:
    db = scratch / "captioner.db"
    with common.photos(options.photos, options.count) as photos:
        subprocess.run(
            [*CAPTIONER, "index", "--db", db, "--null", "-"],
            input="\0".join(str(photo.path) for photo in photos), text=True, check=False,
        )  # fmt: skip
    return db


@contextmanager
def _server(db: Path) -> Iterator[str]:
    """A server of the page; yields its first address."""
    process = subprocess.Popen(
        [*CAPTIONER, "browse", "--db", str(db), "--no-open", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "500"},
    )  # fmt: skip
    try:
        assert process.stdout
        yield next(
            found[0] for line in process.stdout if (found := re.search(r"https?://\S+", line))
        )
    finally:
        process.terminate()
        process.wait()


def _measured(
    options: argparse.Namespace, browser: str, address: str, form: str, scratch: Path
) -> common.Row:
    jar = CookieJar()
    urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar)).open(address).close()
    cookie = "; ".join(f"{each.name}={each.value}" for each in jar)
    report = scratch / "report.json"
    command = [
        options.lighthouse, urljoin(address, options.path), "--quiet", "--output=json",
        f"--output-path={report}", f"--only-categories={','.join(CATEGORIES)}",
        f"--extra-headers={json.dumps({'Cookie': cookie})}",
        "--chrome-flags=--headless=new --no-sandbox",
        *(["--preset=desktop"] if form == "desktop" else []),
    ]  # fmt: skip
    runs = []
    for _ in range(options.repeats):
        subprocess.run(command, check=True, env={**os.environ, "CHROME_PATH": browser})
        runs.append(json.loads(report.read_text()))
    for audit in runs[-1]["audits"].values():
        if audit["score"] is not None and audit["score"] < 0.9:
            print(f"{form}: {audit['id']}: {audit.get('displayValue', '')}", file=sys.stderr)
    scores = {
        name: round(100 * median(run["categories"][name]["score"] for run in runs))
        for name in CATEGORIES
    }
    shown = runs[-1]["audits"]["largest-contentful-paint"]["numericValue"] / 1000
    return {"emulating": form, **scores, "largest picture shown, s": shown}


if __name__ == "__main__":
    common.run(main)
