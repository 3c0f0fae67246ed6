"""What a person types: parse, call, print. Typer and Rich live here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code.

    Parameters
    ----------
    arguments
        The words after the program's name; None takes them from the command line.
    """
    from captioner.cli.app import app

    app(args=arguments, prog_name="captioner")
