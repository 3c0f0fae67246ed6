"""Requests as attackers make them, to a real server: refused or harmless, nothing lost."""

from __future__ import annotations

import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import album
import httpx
import page_server
import processes
import pytest
from page_server import PageServer

pages = pytest.importorskip("captioner.web.pages", reason="the extra web is not installed")

GIB = 1 << 30
SAFE_HEADERS = {
    "content-security-policy": r"default-src 'none'.*frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": r"no-referrer|same-origin",
}
REFUSED = {400, 401, 403, 421}
CHANGING = {"POST", "PUT", "PATCH", "DELETE"}


def routes() -> list[tuple[str, str]]:
    """Every method with every path of the page, its parameters filled in."""
    return [
        (method, re.sub(r"\{[^}]*\}", "1", route.path))
        for route in pages.routes()
        for method in sorted(route.methods - {"HEAD"})
    ]


@pytest.fixture(scope="module")
def client(server: PageServer) -> Iterator[httpx.Client]:
    """A browser that has opened the first address, without a page of ours in it."""
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def page(server: PageServer) -> Iterator[httpx.Client]:
    """What a page of ours can do."""
    with server.own_page() as page:
        yield page


def raw(server: PageServer, request: bytes) -> tuple[int, bytes]:
    """Send bytes as they are; returns the status (0 without an answer) and the whole answer."""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    match = re.match(rb"HTTP/1\.[01] (\d+)", answer)
    return int(match[1]) if match else 0, answer


def cookie(client: httpx.Client) -> bytes:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items()).encode()


def assert_safe(answer: httpx.Response) -> None:
    """Every answer, whatever its status, has the headers that keep scripts out."""
    for name, pattern in SAFE_HEADERS.items():
        value = answer.headers.get(name, "")
        assert re.search(pattern, value), f"{answer.request.url}: {name}: {value!r}"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "Traceback" not in answer.text[:100_000]


@pytest.mark.parametrize(("method", "path"), routes())
def test_nothing_is_answered_without_the_token(server: PageServer, method: str, path: str) -> None:
    with server.stranger() as stranger:
        for url in (path, f"{path}?token=wrong", f"{path}?token="):
            answer = stranger.request(method, url)
            assert answer.status_code in REFUSED, f"{url}: {answer.status_code}"
            assert_safe(answer)
            assert "IMG_" not in answer.text
        stranger.cookies.set(f"captioner_{server.port}", "wrong")
        assert stranger.request(method, path).status_code in REFUSED


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:{port}", "", "localhost:1"]
)
def test_another_host_is_refused(server: PageServer, client: httpx.Client, host: str) -> None:
    host = host.format(port=server.port)
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code in REFUSED
    assert "IMG_" not in answer.text
    status, _ = raw(server, b"GET / HTTP/1.1\r\nCookie: " + cookie(client) + b"\r\n\r\n")
    assert status in REFUSED


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize(("method", "path"), [each for each in routes() if each[0] in CHANGING])
def test_another_origin_changes_nothing(
    client: httpx.Client, method: str, path: str, origin: str
) -> None:
    answer = client.request(method, path, headers={"Origin": origin}, data={"caption": "Harm."})
    assert answer.status_code in REFUSED
    assert_safe(answer)


@pytest.mark.parametrize(("method", "path"), [each for each in routes() if each[0] in CHANGING])
def test_nothing_changes_without_an_origin_or_a_csrf_token(
    page: httpx.Client, client: httpx.Client, method: str, path: str
) -> None:
    origin, token = ({name: page.headers[name]} for name in ("Origin", "X-CSRF-Token"))
    for headers in ({}, origin, token, origin | {"X-CSRF-Token": "wrong"}):
        answer = client.request(method, path, headers=headers, data={"caption": "Harm."})
        assert answer.status_code in REFUSED
        assert_safe(answer)


@pytest.mark.parametrize(
    "path",
    [
        "/thumbnail/../../../../etc/passwd", "/thumbnail/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/thumbnail/..%2f..%2f..%2fetc%2fpasswd", "/thumbnail//etc/passwd",
        "/thumbnail/%2Fetc%2Fpasswd", "/thumbnail/-1", "/thumbnail/0", "/thumbnail/1e3",
        "/thumbnail/99999999999999999999999999", "/thumbnail/9223372036854775808",
        "/thumbnail/9223372036854775807", "/thumbnail/1%00", "/thumbnail/1;.jpg",
        "/thumbnail/%c0%ae", "/thumbnail/\u0661", "/photo/-1", "/photo/9223372036854775808",
        "/photo/x", "/photo/1/../../..",
        "/original/../../../etc/passwd", "/original/9223372036854775808", "/original/-1",
        "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2f..%2fapp.py",
        "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/..\\..\\app.py", "/static/",
        "//etc/passwd", "/file:///etc/passwd", "http://evil.example/", "*",
    ],
)  # fmt: skip
def test_no_path_leads_to_a_file(server: PageServer, client: httpx.Client, path: str) -> None:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\nCookie: "
    )
    status, answer = raw(server, request.encode() + cookie(client) + b"\r\n\r\n")
    assert status in {0, 400, 403, 404, 405, 421} or (path == "/photo/1/../../.." and status < 500)
    assert b"root:" not in answer
    assert b"Traceback" not in answer
    assert b"create_app" not in answer


@pytest.mark.parametrize("path", ["/", "/photo/1", "/thumbnail/1", "/static/base.css", "/nothing"])
def test_methods_that_a_path_has_not_are_refused(page: httpx.Client, path: str) -> None:
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "CONNECTED"):
        answer = page.request(method, path)
        assert answer.status_code in {403, 404, 405, 501}
        assert_safe(answer)


@pytest.mark.parametrize(
    "path", ["/", "/photo/1", "/thumbnail/1", "/static/base.css", "/nothing", "/photo/x"]
)
def test_every_answer_has_the_safe_headers(client: httpx.Client, path: str) -> None:
    assert_safe(client.get(path))


def memory(server: PageServer) -> int:
    """The highest memory of the server so far, bytes."""
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    [size] = re.findall(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)
    return int(size) * 1024


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
@pytest.mark.parametrize("path", ["/api/upload", "/api/example"])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_of_a_gibibyte_is_refused(
    server: PageServer, page: httpx.Client, path: str, chunked: bool
) -> None:
    before = memory(server)
    body = (bytes(1 << 20) for _ in range(1024))
    length = {} if chunked else {"Content-Length": str(GIB)}
    try:
        answer = page.post(path, content=body, headers=length)
        assert answer.status_code == 413
        assert_safe(answer)
    except httpx.TransportError:
        pass  # it hung up before all was sent
    assert memory(server) - before < 64 << 20
    assert page.get("/upload").status_code == 200


@linux
@pytest.mark.parametrize("path", ["/api/upload", "/api/example"])
def test_a_decompression_bomb_is_refused(
    server: PageServer, page: httpx.Client, tmp_path: Path, path: str
) -> None:
    photo = album.photo(tmp_path / "a.jpg", seed=1).read_bytes()
    assert page.post(path, content=photo).status_code == 200  # the models are loaded
    before = memory(server)
    answer = page.post(path, content=album.bomb(tmp_path / "bomb.png").read_bytes())
    assert answer.status_code == 422
    assert_safe(answer)
    assert "megapixels" in answer.text
    assert memory(server) - before < 100 << 20


def test_what_took_the_place_of_a_photo_is_not_shown(
    own_home: Path, folder: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    for number, name in enumerate(("linked.jpg", "replaced.jpg", "deleted.jpg", "folder.jpg")):
        album.photo(photos / name, seed=300 + number)
    secret = tmp_path / "secret.txt"
    secret.write_text("root: a secret")
    processes.run("index", photos, home=own_home)
    (photos / "linked.jpg").unlink()
    (photos / "linked.jpg").symlink_to(secret)
    (photos / "replaced.jpg").write_bytes(secret.read_bytes())
    (photos / "deleted.jpg").unlink()
    (photos / "folder.jpg").unlink()
    (photos / "folder.jpg").mkdir()
    with page_server.running(home=own_home) as server, server.client() as client:
        numbers = server.rows()
        for name in ("linked.jpg", "replaced.jpg", "deleted.jpg", "folder.jpg"):
            for view in ("photo", "thumbnail", "large", "original"):
                answer = client.get(f"/{view}/{numbers[name]}")
                assert answer.status_code < 500, f"{view} of {name}"
                assert answer.status_code == 200 or view != "photo"
                assert "secret" not in answer.text
                assert_safe(answer)


def test_many_requests_while_indexing_lose_nothing(
    own_home: Path, folder: Path, tmp_path: Path
) -> None:
    added = album.ordinary(tmp_path / "more", 24)
    with page_server.running(home=own_home) as server, server.client() as client:
        numbers = list(server.rows().values())
        paths = [
            pattern.format(numbers[n % len(numbers)])
            for n in range(40)
            for pattern in ("/", "/photo/{}", "/thumbnail/{}", "/library", "/statistics")
        ]
        indexing = subprocess.Popen(
            [sys.executable, "-m", "captioner", "index", tmp_path / "more"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=page_server.environment(own_home),
        )  # fmt: skip
        cookies = dict(client.cookies)

        def status(path: str) -> int:
            # Each with a client of its own: one that threads share may close what another reads.
            with server.stranger() as own:
                own.cookies.update(cookies)
                return own.get(path).status_code

        with ThreadPoolExecutor(len(paths)) as pool:
            statuses = list(pool.map(status, paths))
        output, _ = indexing.communicate(timeout=120)
        assert indexing.returncode == 0, output
        # Photos that are gone or cannot be read have no picture.
        assert set(statuses) <= {200, 404, 422}
        assert statuses.count(200) > 150
        found = server.rows()
        assert {path.name for path in added} <= found.keys()
        with closing(sqlite3.connect(own_home / "captioner.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_other_machines_need_a_password(own_home: Path, tmp_path: Path) -> None:
    done = processes.run(
        "browse", "--no-open", "--host", "0.0.0.0", home=own_home, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 2
    assert "password" in done.stderr
    password = tmp_path / "password"
    password.write_text("correct horse battery\n")
    words = ("--host", "0.0.0.0", "--password-file", password)
    with page_server.running(*words, home=own_home) as server, server.stranger() as stranger:
        stranger.headers["Accept"] = "text/html"
        assert stranger.get("/photo/1").headers["location"] == "/sign-in"
        assert stranger.get("/", headers={"Host": "evil.example"}).status_code in REFUSED
        assert_safe(stranger.get("/sign-in"))
        form = {"password": "correct horse battery"}
        elsewhere = stranger.post("/sign-in", data=form, headers={"Origin": "https://evil.example"})
        assert elsewhere.status_code in REFUSED
        stranger.headers["Origin"] = server.origin
        assert stranger.post("/sign-in", data={"password": "wrong"}).status_code == 403
        assert stranger.get("/photo/1").status_code == 303
        assert stranger.post("/sign-in", data=form).status_code == 303
        assert stranger.get("/photo/1").status_code == 200
        guesses = [stranger.post("/sign-in", data={"password": str(n)}) for n in range(8)]
        assert guesses[-1].status_code == 429
