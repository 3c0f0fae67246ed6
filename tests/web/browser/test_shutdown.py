"""The end of the server: by signals, with work in hand, by a terminal that is closed."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import page_server
import pytest
from page_server import PageServer

if sys.platform == "win32":
    pytest.skip("signals are sent to processes as POSIX does", allow_module_level=True)

SECONDS_TO_END = 15
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def started(home: Path, **options: object) -> Iterator[PageServer]:
    """A server in a session of its own, all of whose processes are ended at last."""
    with page_server.running(home=home, start_new_session=True, **options) as server:
        try:
            yield server
        finally:
            for pid in members(server.process.pid):
                os.kill(pid, signal.SIGKILL)


def members(session: int) -> list[int]:
    """The processes of a session, zombies aside."""
    listed = subprocess.run(
        ["ps", "-eo", "pid=,sess=,stat="], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [int(pid) for pid, owner, state in rows if int(owner) == session and state[0] != "Z"]


def assert_ended(server: PageServer) -> None:
    """The server ends soon; no process of it, no open port, no damage is left."""
    try:
        server.process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        raise AssertionError("it still runs:\n" + "".join(server.lines)) from None
    assert members(server.process.pid) == []
    with closing(socket.socket()) as client:
        assert client.connect_ex(("127.0.0.1", server.port)) != 0
    with closing(sqlite3.connect(server.home / "captioner.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    assert "Traceback" not in "".join(server.lines)


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_ends_the_server_and_all_it_started(own_home: Path, name: str) -> None:
    with started(own_home) as server, server.client() as client:
        assert client.get("/").status_code == 200
        server.process.send_signal(getattr(signal, name))
        assert_ended(server)


def test_connections_that_stay_open_do_not_hold_it(own_home: Path) -> None:
    with started(own_home) as server, closing(socket.socket()) as idle, server.client() as client:
        client.get("/")  # kept alive
        idle.connect(("127.0.0.1", server.port))
        idle.sendall(
            b"POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999\r\n\r\nhalf"
        )
        server.process.send_signal(signal.SIGINT)
        assert_ended(server)


def test_a_second_signal_ends_it_at_once(own_home: Path) -> None:
    with started(own_home) as server:
        server.process.send_signal(signal.SIGINT)
        server.process.send_signal(signal.SIGINT)
        assert_ended(server)


@pytest.mark.posix
def test_a_closed_terminal_ends_it(own_home: Path) -> None:
    import pty

    terminal, end = pty.openpty()
    process = subprocess.Popen(
        # The shell makes the terminal its own, as a terminal window's does.
        ["sh", "-c", f'exec "$0" -m captioner browse --no-open --port 0 < {os.ttyname(end)}',
         sys.executable],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env=page_server.environment(own_home),
    )  # fmt: skip
    server = PageServer(process, own_home)
    try:
        server.wait()
        os.close(end)
        os.close(terminal)
        assert_ended(server)
    finally:
        server.stop()
