"""`captioner browse`: the page to browse, search and correct a library, on this machine."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from captioner.cli import console, loading, options, streams
from captioner.cli.interrupt import finishing
from captioner.errors import CaptionerError, UsageError

PASSWORD = "CAPTIONER_PASSWORD"
MIN_PASSWORD = 8
"""Characters."""


def browse(
    *,
    database: options.Databases = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Use this model bundle instead of CAPTIONER_MODEL or the default (repeatable: "
            "compare the captions of uploads by each; the first one searches and indexes).",
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, metavar="N", help="Use this port.", show_default="any free one"
        ),
    ] = 0,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Listen on this address, so that other machines can open the page, with a "
            "password. The connection is not encrypted: only in networks that you trust.",
        ),
    ] = "127.0.0.1",
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Read the password from this file instead of CAPTIONER_PASSWORD or the terminal.",
        ),
    ] = None,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Only print the address; open no browser.")
    ] = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    device: options.Device = "auto",
    precision: options.Precision = "int8",
) -> None:
    """Open the library in a browser: look at photos, search, correct captions, index folders.

    The page is served on this machine only, until Ctrl-C. Nothing is loaded from or sent to the
    network. The address that is printed contains a secret: whoever knows it, and can run programs
    on this machine, can use the page.

    \b
    Examples:
      captioner browse
      captioner browse --model weights/base --model my-model
      captioner browse --host 0.0.0.0 --port 8000 --password-file ~/captioner-password
    """
    console.configure_output(quiet=quiet, log_file=log_file)
    try:
        import jinja2  # noqa: F401
        import python_multipart  # noqa: F401

        from captioner.web.app import create_app
        from captioner.web.security import Access, is_loopback
        from captioner.web.server import listen, serve
        from captioner.web.workspace import Workspace, ensure_database
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "captioner":
            raise
        raise CaptionerError(
            f"browse needs the package {error.name}.",
            "Install it with `pip install 'captioner[web]'`.",
        ) from None
    from captioner.model.options import DescribeOptions

    password = _password(password_file, required=not is_loopback(host))
    bundles: list[Path | None] = [*model] if model else [None]
    models = [DescribeOptions(bundle, device, precision, photos=1) for bundle in bundles]
    workspace = Workspace(database or (), models, loading.load)
    for path in workspace.databases[:1]:
        ensure_database(path)
    with workspace.reader():  # an index that cannot be read is an error now, not on the page
        pass
    listener = listen(host, port)
    access = Access(listener.getsockname()[1], host, password)

    def announce() -> None:
        console.line(access.address)
        console.note("Press Ctrl-C to stop.")
        if not no_open:
            _open_browser(access.address)

    with finishing() as stop:
        serve(create_app(workspace, access), listener, stop, announce)
    console.note("Stopped.")


def _open_browser(address: str) -> None:
    """Open an address in the default browser, without waiting for it."""
    import threading
    import webbrowser

    threading.Thread(target=partial(webbrowser.open, address), daemon=True).start()


def _password(file: Path | None, *, required: bool) -> str | None:
    """The password from a file, the environment or the terminal; None if there is none.

    Raises
    ------
    UsageError
        If one is required and there is none, or it is too short.
    """
    if file:
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise UsageError(
                f"the password file {console.shown(str(file))} cannot be read: {reason}.",
                "Name a text file whose first line is the password.",
            ) from error
        password = lines[0] if lines else ""
    else:
        password = os.environ.get(PASSWORD, "")
        if not password and required and streams.stdin_is_terminal():
            import getpass

            password = getpass.getpass("Password for the page: ")
    if not password and not required and not file:
        return None
    if len(password) < MIN_PASSWORD:
        raise UsageError(
            f"other machines need a password of {MIN_PASSWORD} characters or more."
            if required
            else f"the password is shorter than {MIN_PASSWORD} characters.",
            f"Put one into a file and name it with --password-file, or set {PASSWORD}.",
        )
    return password
