"""Who may use the page: what is refused without a browser, and by which answer."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import web_pages
from starlette.testclient import TestClient

from captioner.web.security import ATTEMPTS, Access, AttemptLimit, is_loopback

PASSWORD = "correct horse"


def test_first_address_becomes_a_cookie_that_scripts_cannot_read(database: Path) -> None:
    with web_pages.client(database, signed_in=False) as client:
        access = client.app.state.access
        assert client.get("/").status_code == 401
        assert client.get("/?token=wrong").status_code == 401
        answer = client.get(f"/?token={access.token}", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert access.token not in cookie
        assert client.get("/").status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/search", "/thumbnail/1", "/original/1", "/library"])
def test_without_the_cookie_nothing_is_served(database: Path, path: str) -> None:
    with web_pages.client(database, signed_in=False) as client:
        client.cookies.set(f"captioner_{web_pages.PORT}", "guessed")
        answer = client.get(path)
    assert answer.status_code == 401
    assert "not signed in" in answer.text


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1", "127.0.0.1:80", "10.0.0.1:8765", ""]
)
def test_another_host_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "[::1]:8765"])
def test_loopback_names_are_served(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:8766"},
        {"Origin": "null"},
        {"X-CSRF-Token": "wrong"},
        {"X-CSRF-Token": ""},
    ],
)
def test_changes_from_elsewhere_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/api/example", content=b"x", headers=headers).status_code == 403
    assert client.post("/api/example", content=b"x").status_code == 422  # our own page


def test_change_without_origin_is_refused(client: TestClient) -> None:
    del client.headers["Origin"]
    assert client.post("/api/example", content=b"x").status_code == 403


def test_every_answer_has_the_headers(client: TestClient, database: Path) -> None:
    [first, *_] = web_pages.photo_numbers(database)
    for path in ("/", f"/thumbnail/{first}", "/static/base.css", "/nothing", "/api/search"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["x-frame-options"] == "DENY", path
    assert "sandbox" in client.get(f"/original/{first}").headers["content-security-policy"]


def test_announced_length_is_refused_before_anything_is_read(client: TestClient) -> None:
    answer = client.post("/api/example", content=b"x", headers={"Content-Length": f"{1 << 30}"})
    assert answer.status_code == 413


def test_body_without_a_length_is_refused_while_it_streams(client: TestClient) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1 << 10):
            sent += 1 << 20
            yield bytes(1 << 20)

    answer = client.post("/api/example", content=endless())
    assert answer.status_code == 413
    assert answer.json()["error"]["remedy"]


def test_decompression_bomb_is_refused(client: TestClient) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    answer = client.post("/api/example", content=bomb)
    assert answer.status_code == 422
    assert "megapixels" in answer.json()["error"]["message"]


def test_folder_that_was_not_indexed_is_not_looked_for(client: TestClient, tmp_path: Path) -> None:
    for folder in ("/etc", f"{tmp_path}/photos/../..", r"\\evil\share", "relative"):
        answer = client.get("/api/search", params={"in": folder})
        assert answer.status_code == 400, folder
        assert "not indexed" in answer.json()["error"]["message"]


@pytest.fixture
def guarded(database: Path) -> Iterator[TestClient]:
    options = {"host": "0.0.0.0", "password": PASSWORD}
    with web_pages.client(database, signed_in=False, **options) as client:
        client.headers["Origin"] = web_pages.ADDRESS
        yield client


def test_password_signs_in(guarded: TestClient) -> None:
    page = guarded.get("/", headers={"Accept": "text/html"})
    assert 'type="password"' in page.text
    wrong = guarded.post("/sign-in", data={"password": "wrong"})
    assert wrong.status_code == 403
    assert guarded.get("/api/search").status_code == 401
    right = guarded.post("/sign-in", data={"password": PASSWORD})
    assert right.status_code == 200
    assert guarded.get("/api/search").status_code == 200


def test_passwords_cannot_be_guessed_at_will(guarded: TestClient) -> None:
    for _ in range(ATTEMPTS):
        assert guarded.post("/sign-in", data={"password": "guess"}).status_code == 403
    answer = guarded.post("/sign-in", data={"password": PASSWORD})
    assert answer.status_code == 429
    assert guarded.get("/api/search").status_code == 401


def test_attempts_are_allowed_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("captioner.web.security.time.monotonic", lambda: now)
    limit = AttemptLimit(2, 60)
    limit.failed()
    limit.failed()
    assert not limit.allowed()
    now += 61
    assert limit.allowed()


def test_sign_in_from_another_site_is_refused(guarded: TestClient) -> None:
    answer = guarded.post(
        "/sign-in", data={"password": PASSWORD}, headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403


def test_without_a_password_there_is_no_sign_in(client: TestClient) -> None:
    assert client.get("/sign-in").status_code == 404


def test_elsewhere_addresses_in_numbers_are_served_and_names_are_not() -> None:
    access = Access(80, "0.0.0.0", PASSWORD)
    assert access.serves("192.168.1.5:80")
    assert access.serves("192.168.1.5")
    assert not access.serves("rebound.example:80")
    assert Access(80, "photos.local", PASSWORD).serves("photos.local")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("127.8.9.1", True),
     ("0.0.0.0", False), ("::", False), ("192.168.1.5", False), ("photos.local", False)],
)  # fmt: skip
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_tokens_differ_from_run_to_run() -> None:
    one, other = Access(1), Access(1)
    assert len({one.token, other.token, one.session, other.session}) == 4
    assert one.csrf_token != other.csrf_token


def test_upload_leaves_no_file(client: TestClient, tmp_path: Path) -> None:
    from PIL import Image

    before = set(tmp_path.rglob("*"))
    content = io.BytesIO()
    Image.new("RGB", (30, 20), (200, 10, 10)).save(content, "PNG")
    answer = client.post("/api/example", content=content.getvalue())
    assert answer.status_code == 200
    assert answer.json()["caption"] == "A red photo."
    assert set(tmp_path.rglob("*")) == before
