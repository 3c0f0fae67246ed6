"""Exceptions with messages for users: what went wrong, and what to do about it."""

from __future__ import annotations


class CaptionerError(Exception):
    """An error that the user can fix. The command line prints it without a traceback.

    Parameters
    ----------
    reason
        One sentence that names the file or option and what is wrong with it.
    remedy
        One sentence that says what to do next; empty if nothing can be done.
    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(f"{reason} {remedy}".strip())
        self.reason = reason
        self.remedy = remedy


class UsageError(CaptionerError):
    """Wrong usage: the command line exits with code 2."""


class DatabaseUnavailableError(CaptionerError):
    """The database cannot be used at present, for example because it is locked; retry later."""


class PhotoError(CaptionerError):
    """One photo cannot be read; the run continues with the others."""


class PhotoUnavailableError(PhotoError):
    """A photo cannot be read at present, though the file may be fine; it is tried again later."""


class CaptionerWarning(UserWarning):
    """Category for `warnings.warn`: shown to the user while the command continues."""
