"""`captioner browse` as a process, and clients that talk to it."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from processes import ROOT

_ADDRESS = re.compile(r"https?://\S+")
_SECONDS_TO_START = 60

WIDTHS = {360: 740, 1280: 800, 2560: 1440}
"""Widths of a phone, a laptop and a large screen, with their heights, in pixels."""

VIEWS = (
    "/", "/?q=sky", "/photo/1", "/upload", "/review", "/library", "/library/failures",
    "/library/duplicates", "/library/missing", "/statistics",
)  # fmt: skip
"""A path to each view."""


class PageServer:
    """A running server of the page."""

    def __init__(self, process: subprocess.Popen[str], home: Path) -> None:
        self.process, self.home = process, home
        self.lines: deque[str] = deque(maxlen=200)
        """What the server printed last."""
        self.address = ""
        """The first address, with its token, as it was printed."""
        self._printed = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)
            if not self.address and (found := _ADDRESS.search(line)):
                self.address = found[0]
                self._printed.set()
        self._printed.set()

    def wait(self) -> None:
        """Wait for the address."""
        if not self._printed.wait(_SECONDS_TO_START) or not self.address:
            self.process.kill()
            raise AssertionError("the server printed no address:\n" + "".join(self.lines))

    @property
    def origin(self) -> str:
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def port(self) -> int:
        port = urlsplit(self.address).port
        assert port
        return port

    def stranger(self) -> httpx.Client:
        """A client that has not opened the first address."""
        return httpx.Client(base_url=self.origin, timeout=60, trust_env=False)

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """A client that has, and so has the cookie."""
        with self.stranger() as client:
            answer = client.get(self.address, follow_redirects=True)
            assert answer.status_code == 200, answer.text
            yield client

    @contextmanager
    def own_page(self) -> Iterator[httpx.Client]:
        """A client that sends what the scripts of our own pages send, and so may change things."""
        with self.client() as client:
            found = re.search(r'name="csrf-token" content="([^"]+)"', client.get("/").text)
            assert found
            client.headers.update({"Origin": self.origin, "X-CSRF-Token": found[1]})
            yield client

    def rows(self) -> dict[str, int]:
        """Row numbers of the photos by file name."""
        with closing(sqlite3.connect(self.home / "captioner.db")) as database:
            found = database.execute("SELECT id, path FROM photos").fetchall()
        return {Path(os.fsdecode(path)).name: number for number, path in found}

    def stop(self) -> str:
        """End the server; returns what it printed last."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        self._reader.join(10)
        return "".join(self.lines)


def environment(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "CAPTIONER_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "500",
    }


def until(page: Any, expression: str) -> None:
    """Wait until an expression is true in a page.

    Playwright's own `wait_for_function` needs `unsafe-eval` once it looks a second time.
    """
    end = time.monotonic() + _SECONDS_TO_START
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never true: {expression}"
        page.wait_for_timeout(50)


@contextmanager
def running(
    *words: object, home: Path, variables: dict[str, str] | None = None, **options: object
) -> Iterator[PageServer]:
    """Start `captioner browse --no-open --port 0 WORDS…`, wait for its address, end it at last."""
    process = subprocess.Popen(
        [sys.executable, "-m", "captioner", "browse", "--no-open", "--port", "0",
         *map(str, words)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment(home) | (variables or {}), **options,
    )  # fmt: skip
    server = PageServer(process, home)
    try:
        server.wait()
        yield server
    finally:
        server.stop()
