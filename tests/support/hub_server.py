"""A stand-in for the Hugging Face hub: serves the files of a folder by the hub's own HTTP API."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(folder: Path, repository: str) -> Iterator[tuple[str, list[str]]]:
    """Serve a data set; its address, and the paths that are asked for, as they come."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.answer(body=True)

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def answer(self, *, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            asked.append(f"{self.command} {path}")
            api = f"/api/datasets/{repository}"
            files = sorted(file for file in folder.rglob("*") if file.is_file())
            if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
                names = [{"rfilename": file.relative_to(folder).as_posix()} for file in files]
                self.reply_json({"id": repository, "sha": COMMIT, "siblings": names}, body)
            elif path.startswith(f"{api}/tree/"):
                self.reply_json([entry(folder, file) for file in files], body)
            elif path.startswith(f"/datasets/{repository}/resolve/"):
                file = folder / path.split("/resolve/")[1].partition("/")[2]
                self.reply_file(file, body)
            else:
                self.send_error(404)

        def reply_json(self, content: Any, body: bool) -> None:
            data = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data)

        def reply_file(self, file: Path, body: bool) -> None:
            if not file.is_file():
                self.send_error(404)
                return
            data = file.read_bytes()
            start = 0
            if wanted := self.headers.get("Range"):
                start = int(wanted.removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if wanted else 200)
            self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(data) - start))
            self.send_header("Accept-Ranges", "bytes")
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.end_headers()
            if body:
                self.wfile.write(data[start:])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def entry(folder: Path, file: Path) -> dict[str, Any]:
    data = file.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    name = file.relative_to(folder).as_posix()
    return {"type": "file", "oid": blob, "size": len(data), "path": name}
