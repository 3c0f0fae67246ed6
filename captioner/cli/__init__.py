"""The command line: parse, call, print. The only package that imports Typer and Rich."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

_NEW_OBJECTS = 10_000
"""Objects that are made before Python looks for garbage among them; its own default is 700."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit the process with its exit code.

    Parameters
    ----------
    arguments
        The arguments after the program's name; None for those of this process.
    """
    import gc
    import os
    import sys

    # What a start makes, some hundred modules, all stays: looking for garbage in it takes long.
    gc.set_threshold(_NEW_OBJECTS)
    from captioner.cli import interrupt, loading, streams

    try:
        interrupt.install()
        streams.prepare()
        from captioner.cli.app import app

        app(args=arguments, prog_name="captioner")
    except KeyboardInterrupt as error:  # before the command began
        sys.exit(interrupt.exit_code(error))
    except SystemExit as end:
        if loading.work_continues() and isinstance(end.code, int):
            # The interpreter cannot stop a thread that is running native code.
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(end.code)
        raise
    finally:
        # The system frees all memory anyway; looking for garbage once more takes a tenth of a
        # second.
        gc.freeze()
