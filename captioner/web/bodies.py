"""Bodies of requests: JSON objects, checked field by field."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from captioner.errors import UsageError

MAX_TEXT = 10_000
"""Characters in a text."""
MAX_WORDS = 100
"""Texts in a list."""

Choice = TypeVar("Choice", bound=str)


class Body:
    """The JSON object that a script sent. Every method raises UsageError for a wrong value."""

    def __init__(self, content: bytes) -> None:
        try:
            found = json.loads(content or b"{}")
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise _wrong("the request is not a JSON object.")
        self._fields = found

    def text(self, name: str) -> str:
        """A text, which may be empty."""
        value = self._fields.get(name)
        if not isinstance(value, str):
            raise _wrong(f"{name} is not a text.")
        return _checked(name, value)

    def texts(self, name: str) -> list[str]:
        """A list of texts; empty if it is not there."""
        value = self._fields.get(name, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise _wrong(f"{name} is not a list of texts.")
        if len(value) > MAX_WORDS:
            raise UsageError(f"{name} has more than {MAX_WORDS} entries.", "Send fewer.")
        return [_checked(name, one) for one in value]

    def flag(self, name: str) -> bool:
        """Whether something is chosen; False if it is not there."""
        value = self._fields.get(name, False)
        if not isinstance(value, bool):
            raise _wrong(f"{name} is neither true nor false.")
        return value

    def number(self, name: str) -> int:
        """A whole number."""
        value = self._fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong(f"{name} is not a whole number.")
        return value

    def choice(self, name: str, choices: tuple[Choice, ...]) -> Choice:
        """One of several texts."""
        value = self.text(name)
        for one in choices:
            if one == value:
                return one
        raise _wrong(f"{name} is none of {', '.join(choices)}.")


def posted(
    handle: Callable[[Request, Body], Response],
) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that handles the body of a request on a thread, where it may wait."""

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(handle, request, Body(await request.body()))

    return endpoint


def _checked(name: str, text: str) -> str:
    if len(text) > MAX_TEXT:
        raise UsageError(f"{name} is longer than {MAX_TEXT:,} characters.", "Shorten it.")
    return text


def _wrong(reason: str) -> UsageError:
    return UsageError(reason, "Reload the page and try again.")
