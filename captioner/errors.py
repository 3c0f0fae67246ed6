"""Errors that a person is meant to read: what, why, and what to do about it."""

from __future__ import annotations


class CaptionerError(Exception):
    """Something a person can mend. The command line prints it without a traceback.

    Parameters
    ----------
    reason
        One sentence that names the file or option and what is wrong with it.
    remedy
        One sentence that says what to do next; empty where nothing can be done.
    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(f"{reason} {remedy}".strip())
        self.reason = reason
        self.remedy = remedy


class UsageError(CaptionerError):
    """Wrong use: the command line ends with exit code 2."""


class DatabaseUnavailableError(CaptionerError):
    """The database cannot be used now, as when another process writes it: later it may work."""


class PhotoError(CaptionerError):
    """One photo cannot be read; the rest of a run goes on."""


class PhotoUnavailableError(PhotoError):
    """The trouble lies outside the file: as it is, it may be read another time."""


class CaptionerWarning(UserWarning):
    """Something a person should know while the command goes on; for `warnings.warn`."""
