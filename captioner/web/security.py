"""Security: who may use the page, from which addresses, and what a browser may do with it.

Everything is refused unless all of this holds:

- *Host* names this server, so that no domain of others that leads here is served (DNS rebinding).
- The request has the session cookie. The first address, which is printed, has a random token; it
  is exchanged for the cookie and leaves the address bar. Where there is a password, it is another
  way to the cookie.
- What changes something comes from our own pages: its *Origin* is ours, and it carries the CSRF
  token in a header, which no other site can set.
- The body is no larger than its page allows.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from captioner.errors import CaptionerError
from captioner.web.responses import error_response

_LOG = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD"})
CSRF_HEADER = "x-csrf-token"
BODY_LIMIT = 1 << 20
"""Bytes of a request's body, where its page allows no more."""
SIGN_IN = "/sign-in"

ATTEMPTS = 5
"""Wrong passwords within `ATTEMPTS_SECONDS` after which further ones are refused unseen."""
ATTEMPTS_SECONDS = 60.0

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
"""Headers of every response, unless it sets its own."""

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class RefusedError(CaptionerError):
    """A request that is refused, with its status."""

    def __init__(self, status: int, reason: str, remedy: str = "") -> None:
        super().__init__(reason, remedy)
        self.status = status


class AttemptLimit:
    """Counts wrong passwords. Safe for threads."""

    def __init__(self, attempts: int = ATTEMPTS, seconds: float = ATTEMPTS_SECONDS) -> None:
        self._times: deque[float] = deque(maxlen=attempts)
        self._seconds = seconds
        self._lock = threading.Lock()

    def allowed(self) -> bool:
        """Whether one more password may be tried now."""
        with self._lock:
            return (
                len(self._times) < (self._times.maxlen or 0)
                or time.monotonic() - self._times[0] >= self._seconds
            )

    def failed(self) -> None:
        """Count a wrong one."""
        with self._lock:
            self._times.append(time.monotonic())


@dataclass(frozen=True)
class Access:
    """How this server may be reached and by whom."""

    port: int
    host: str = "127.0.0.1"
    """The address that the server listens on."""
    password: str | None = None
    """Required unless the address is loopback."""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """In the first address."""
    session: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """The value of the cookie."""
    attempts: AttemptLimit = field(default_factory=AttemptLimit)

    @property
    def cookie(self) -> str:
        """The name of the cookie: browsers share cookies between the ports of a host."""
        return f"captioner_{self.port}"

    @property
    def csrf_token(self) -> str:
        """The token that our pages send with whatever changes something."""
        return hmac.new(self.session.encode(), b"csrf", "sha256").hexdigest()

    @property
    def address(self) -> str:
        """The address to open first, with the token."""
        return f"http://{_in_url(self._name())}:{self.port}/?{urlencode({'token': self.token})}"

    def _name(self) -> str:
        unspecified = self.host in ("0.0.0.0", "::", "")
        return "127.0.0.1" if unspecified else self.host

    def serves(self, host: str) -> bool:
        """Whether a Host header names this server.

        On loopback, a loopback name. Elsewhere also the host that the server was started with and
        any address in numbers, since a rebound domain is a name.
        """
        name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "80")
        if not name:
            name, port = host, "80"
        if port != str(self.port):
            return False
        name = name.lower()
        if name in _LOOPBACK_NAMES or name == _in_url(self.host).lower():
            return True
        return not is_loopback(self.host) and _is_address(name)

    def is_session(self, cookies: str) -> bool:
        """Whether a Cookie header holds the session."""
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load(cookies)
        except CookieError:
            return False
        found = jar.get(self.cookie)
        return found is not None and same(found.value, self.session)

    def signed_in(self, target: str) -> Response:
        """Redirect to a page with the session's cookie."""
        response = RedirectResponse(target, 303)
        response.set_cookie(self.cookie, self.session, httponly=True, samesite="strict", path="/")
        return response

    def check_password(self, password: str) -> bool:
        """Whether a password is right.

        Raises
        ------
        RefusedError
            If too many were wrong within the last minute.
        """
        if not self.attempts.allowed():
            raise RefusedError(429, "too many wrong passwords.", "Wait for a minute.")
        if self.password is not None and same(password, self.password):
            return True
        self.attempts.failed()
        return False


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def same(one: str, other: str) -> bool:
    """Whether two secrets are equal, in a time that tells nothing about them."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


class Guard:
    """The middleware that checks every request before a page sees it, and its response after.

    Parameters
    ----------
    limits
        Bytes of bodies that paths with a prefix may have; the longest prefix that matches counts.
    """

    def __init__(self, app: ASGIApp, access: Access, limits: Mapping[str, int]) -> None:
        self._app = app
        self._access = access
        self._limits = sorted(limits.items(), key=lambda one: -len(one[0]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets
            await send({"type": "websocket.close", "code": 1008})
            return
        sender = _with_headers(send)
        request = Request(scope)
        try:
            response = self._check(request)
            limit = self._limit(request)
        except RefusedError as error:
            await error_response(request, error, error.status)(scope, receive, sender)
            return
        if response:
            await response(scope, receive, sender)
            return
        scope.setdefault("state", {})["csrf_token"] = self._access.csrf_token
        begun = False

        async def noticing(message: Message) -> None:
            nonlocal begun
            begun = True
            await sender(message)

        try:
            await self._app(scope, _limited(receive, limit), noticing)
        except Exception as error:
            # With a traceback only for those who want one.
            trace = error if os.environ.get("CAPTIONER_DEBUG") else None
            _LOG.error("%s %s: %r", request.method, request.url.path, error, exc_info=trace)
            if not begun:
                await error_response(request, _bug(error), 500)(scope, receive, sender)

    def _check(self, request: Request) -> Response | None:
        """Raise a refusal, or return what to answer instead of the page; None: serve the page."""
        access, path = self._access, request.url.path
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not access.serves(hosts[0]):
            raise RefusedError(
                421, "this address is not the server's own.", "Open the address that was printed."
            )
        if request.method not in SAFE_METHODS:
            self._check_origin(request.headers)
        if request.method in SAFE_METHODS and path == "/":
            token = parse_qs(request.url.query).get("token", [""])[0]
            if token and same(token, access.token):
                return access.signed_in("/")
        if path == SIGN_IN and access.password is not None:
            return None
        # Signing in needs its style sheet; what is static is the same for everybody.
        if path.startswith("/static/") and request.method in SAFE_METHODS:
            return None
        if not access.is_session(request.headers.get("cookie", "")):
            wants_page = "text/html" in request.headers.get("accept", "")
            if access.password is not None and wants_page and request.method == "GET":
                return RedirectResponse(SIGN_IN, 303)
            raise RefusedError(
                401,
                "this browser is not signed in.",
                "Open the address that `captioner browse` printed, with its token.",
            )
        if request.method not in SAFE_METHODS and not same(
            request.headers.get(CSRF_HEADER, ""), access.csrf_token
        ):
            raise RefusedError(403, "the page is out of date.", "Reload it and try again.")
        return None

    @staticmethod
    def _check_origin(headers: Headers) -> None:
        origin = headers.get("origin")
        own = f"http://{headers.get('host', '')}"
        if origin is None and headers.get("sec-fetch-site") == "same-origin":
            return
        if origin is None or origin.lower() != own.lower():
            raise RefusedError(403, "the request comes from another site.")

    def _limit(self, request: Request) -> int:
        limit = next(
            (size for prefix, size in self._limits if request.url.path.startswith(prefix)),
            BODY_LIMIT,
        )
        length = request.headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > limit:
            raise too_large(limit)
        return limit


def _bug(error: Exception) -> CaptionerError:
    return CaptionerError(
        f"{type(error).__name__} while this was made.",
        "This is a bug in captioner or in a library it uses. "
        "Start it with CAPTIONER_DEBUG=1 to see the traceback in the terminal.",
    )


def too_large(limit: int) -> RefusedError:
    """The refusal of a body with more than some bytes."""
    return RefusedError(
        413, f"more than {limit / (1 << 20):,.0f} MB were sent.", "Send fewer or smaller files."
    )


def _limited(receive: Receive, limit: int) -> Receive:
    """Receive a body, and raise as soon as it is larger than allowed, whatever it announced."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise too_large(limit)
        return message

    return limited


def _with_headers(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sender


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
