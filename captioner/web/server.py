"""The server: one process on one port, which ends with its terminal and leaves nothing running."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.applications import Starlette

from captioner.errors import CaptionerError, UsageError
from captioner.web.security import is_loopback

GRACE_SECONDS = 2
"""How long open connections, such as streams of events, may go on after a stop was requested."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on an address; port 0 is any free one.

    Raises
    ------
    UsageError
        If the address is not one of this machine, or the port is taken.
    """
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listener = socket.create_server(address[:2], family=family, backlog=512)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"cannot listen on {host}, port {port}: {reason}.",
            "Use another --port, or leave it out for any free one."
            if is_loopback(host)
            else "Use an address of this machine for --host, and another --port.",
        ) from error
    return listener


class _Server(uvicorn.Server):
    """A server that leaves signals to the command line, and asks it whether to stop."""

    def __init__(
        self, config: uvicorn.Config, stop: Callable[[], bool], started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._stop, self._started = stop, started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if not self.should_exit:
            self._started()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to stop."""
        return await super().on_tick(counter) or self._stop()


def serve(
    app: Starlette,
    listener: socket.socket,
    stop: Callable[[], bool],
    started: Callable[[], None] = lambda: None,
) -> None:
    """Serve until `stop` says so; then let jobs finish what they are storing, and close all.

    Parameters
    ----------
    started
        Called once requests are answered.

    Raises
    ------
    CaptionerError
        If the server cannot start.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",  # the guard logs what goes wrong, in one line
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=1 << 16,
    )
    server = _Server(config, stop, started)
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()
        app.state.workspace.close()
    if not server.started:
        raise CaptionerError("the page could not be started.", "Try another --port.")
