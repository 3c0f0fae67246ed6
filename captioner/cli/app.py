"""The commands under one roof, each loaded when it is named, and the one place where errors end.

Exit codes: 0 all done, 1 some photos failed, 2 wrong use, 130 interrupted by Ctrl-C, 143 ended by
SIGTERM, 129 by SIGHUP.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from captioner import __version__
from captioner.cli import console, streams
from captioner.cli.interrupt import exit_code
from captioner.errors import CaptionerError, UsageError
from captioner.places import expanded

# Each is a function of that name in the module of that name: `captioner.cli.search.search`; hyphens
# are underscores there.
COMMANDS = (
    "caption", "index", "watch", "prune", "forget", "search", "similar", "write", "undo", "show",
    "edit", "stats", "export", "train", "train-cider", "evaluate", "info",
)  # fmt: skip


_OUTPUT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Errors of writing to a stream. Those of files are dealt with where these are written."""


class Command(TyperCommand):
    """A command whose help speaks of PATH..., not of `{PATH}...` and `list[Path]`.

    In paths that options take, `~/` is the home folder, since not every shell sees to it.
    """

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Name the arguments in the usage line as their help does."""
        return [
            "[OPTIONS]",
            *(_shown(param) for param in self.get_params(ctx) if _is_argument(param)),
        ]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options, a sentence each."""
        parameters: list[Any] = self.get_params(ctx)
        arguments = [(_shown(p), p.help) for p in parameters if _is_argument(p)]
        options = [p.get_help_record(ctx) for p in parameters if not _is_argument(p)]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        with formatter.section("Options"):
            formatter.write_dl([record for record in options if record])

    def invoke(self, ctx: Any) -> Any:
        """Run the command, unless it would write to what it reads or to what is no output."""
        from captioner.cli import outputs

        for name, value in ctx.params.items():
            ctx.params[name] = [_at_home(v) for v in value] if _many(value) else _at_home(value)
        outputs.check_options(ctx.params, {p.name: p.opts[0] for p in self.get_params(ctx)})
        return super().invoke(ctx)


class Commands(TyperGroup):
    """All commands; a command's module is imported when the command is named or listed."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        # Names alone, for the list and for "did you mean"; `get_command` does the loading.
        self.commands: Any = dict.fromkeys(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the command's module and build the command; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        module = import_module(f"captioner.cli.{name}")
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(cmd_name, cls=getattr(module, "COMMAND", Command))(getattr(module, name))
        return typer.main.get_command(alone)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands with their whole summaries, in as many lines as they take."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(limit=10_000)) for name, command in commands]
            )

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read the command line, which prints what --help and --version ask for."""
        try:
            return super().make_context(*arguments, **options)
        except BrokenPipeError:  # Typer sees to it
            raise
        except OSError as error:
            _explain(error)

    def invoke(self, ctx: Any) -> Any:
        """Run a command and turn whatever goes wrong into words and an exit code."""
        console.prepare()
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except (typer.Exit, typer.Abort):
            raise
        except typer.TyperException as error:  # A command line that Typer cannot read.
            error.message = console.shown_lines(error.message)
            raise
        except BrokenPipeError:
            # The reader, `head` for example, has seen enough: that is no failure.
            streams.abandon(sys.stdout)
            raise typer.Exit(0) from None
        except KeyboardInterrupt as error:
            console.note("Interrupted.")
            raise typer.Exit(exit_code(error)) from None
        except Exception as error:
            _explain(error)
        return result


def _explain(error: Exception) -> NoReturn:
    if os.environ.get("CAPTIONER_DEBUG"):
        import traceback

        traceback.print_exc()
    if isinstance(error, CaptionerError):
        console.error(error.reason, error.remedy)
    elif isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        console.error(
            f"this needs {package}, which is not installed.",
            f"Install it with: pip install {package}",
        )
    elif isinstance(error, MemoryError) or "std::bad_alloc" in str(error):
        console.error("there is not enough memory.", "Close other programs, or use --batch-size 1.")
    elif isinstance(error, OSError) and error.filename is None and error.errno in _OUTPUT:
        console.error(
            f"standard output cannot be written: {error.strerror}.",
            "Make room on its disk, or write to another.",
        )
    elif isinstance(error, FileNotFoundError) and not _has_current_folder():
        console.error(
            "the current folder does not exist any more, and relative paths mean nothing without.",
            "Change to another folder, or give whole paths.",
        )
    else:
        console.error(
            f"{type(error).__name__}: {error}",
            "This is a fault of captioner or of what it stands on; "
            "CAPTIONER_DEBUG=1 shows where it happened.",
        )
    try:
        sys.stdout.flush()
    except OSError:  # A full disk behind stdout: the interpreter must not complain once more.
        streams.abandon(sys.stdout)
    raise typer.Exit(2 if isinstance(error, UsageError) else 1) from error


def _has_current_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        return False
    return True


def _many(value: object) -> bool:
    return isinstance(value, list | tuple)


def _at_home(value: object) -> object:
    """A path with the home folder for a leading `~/`; all else as it is."""
    if isinstance(value, Path) and value.parts[:1] == ("~",):
        return expanded(value)
    return value


def _is_argument(param: Any) -> bool:
    return bool(param.param_type_name == "argument")


def _shown(param: Any) -> str:
    return str(param.metavar or param.name.upper())


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    # Plain help starts in half the time of Rich's, pipes well and fits narrow terminals.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.line(f"captioner {__version__}")
        raise typer.Exit


@app.callback()
def captioner(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Caption photos, find them again from a few words, and train the model that does it.

    Everything happens on this machine. `captioner COMMAND --help` explains a command.
    """
