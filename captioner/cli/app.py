"""The command-line application: commands, imported on demand, and the handling of all errors.

Exit codes: 0 all done, 1 some photos failed, 2 usage error, 130 interrupted by Ctrl-C, 143 ended by
SIGTERM, 129 by SIGHUP.
"""

from __future__ import annotations

import errno
import inspect
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from captioner import __version__
from captioner.app_paths import expanded
from captioner.cli import console, streams
from captioner.cli.interrupt import exit_code
from captioner.errors import CaptionerError, UsageError

# Each is a function of that name in the module of that name: `captioner.cli.search.search`; hyphens
# are underscores there.
COMMANDS = (
    "caption", "index", "watch", "prune", "forget", "search", "similar", "browse", "write", "undo",
    "show", "edit", "merge", "stats", "export", "train", "train-cider", "tune", "runs", "evaluate",
    "compare",
    "info",
)  # fmt: skip

_STREAM_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Error numbers of a failed write to a stream. Files report theirs where they are written."""


class Command(TyperCommand):
    """A command whose help says PATH..., not `{PATH}...` or `list[Path]`.

    A leading `~/` in a path becomes the home folder, since not every shell expands it after `=`.
    """

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Name the arguments in the usage line as in the list below it."""
        return [
            "[OPTIONS]",
            *(_display_name(param) for param in self.get_params(ctx) if _is_argument(param)),
        ]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """List the arguments and the options with their help."""
        parameters: list[Any] = self.get_params(ctx)
        arguments = [(_display_name(p), p.help) for p in parameters if _is_argument(p)]
        options = [p.get_help_record(ctx) for p in parameters if not _is_argument(p)]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        with formatter.section("Options"):
            formatter.write_dl([record for record in options if record])

    def invoke(self, ctx: Any) -> Any:
        """Run the command, unless an output file is also an input or must not be overwritten."""
        from captioner.cli import outputs

        for name, value in ctx.params.items():
            ctx.params[name] = (
                [_expand(v) for v in value] if _is_sequence(value) else _expand(value)
            )
        outputs.check_options(ctx.params, {p.name: p.opts[0] for p in self.get_params(ctx)})
        return super().invoke(ctx)


class Commands(TyperGroup):
    """The group of all commands. Modules are imported only when a command is named or listed."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        # Only the names, for the list and for "did you mean"; `get_command` imports the modules.
        self.commands: Any = dict.fromkeys(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the command's module and build the command; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, function = _import_command(cmd_name)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(cmd_name, cls=getattr(module, "COMMAND", Command))(function)
        return typer.main.get_command(alone)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands with the first line of their docstrings."""
        # Building all commands with their options would take longer than anything else in --help.
        functions = {name: _import_command(name)[1] for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, inspect.cleandoc(function.__doc__ or "").partition("\n")[0])
                    for name, function in functions.items()
                ]
            )

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse the command line; --help and --version print and exit here."""
        try:
            return super().make_context(*arguments, **options)
        except BrokenPipeError:  # Typer handles it
            raise
        except OSError as error:
            _exit_with(error)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; report any exception as a message and an exit code."""
        console.prepare()
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except (typer.Exit, typer.Abort):
            raise
        except typer.TyperException as error:  # a command line that Typer cannot parse
            error.message = console.shown_lines(error.message)
            raise
        except BrokenPipeError:
            # The reader, such as `head`, has closed the pipe: not a failure.
            streams.abandon(sys.stdout)
            raise typer.Exit(0) from None
        except KeyboardInterrupt as error:
            console.note("Interrupted.")
            raise typer.Exit(exit_code(error)) from None
        except Exception as error:
            _exit_with(error)
        return result


def _import_command(name: str) -> tuple[ModuleType, Callable[..., None]]:
    """The module of a command, and its function."""
    function = name.replace("-", "_")
    module = import_module(f"captioner.cli.{function}")
    return module, getattr(module, function)


def _exit_with(error: Exception) -> NoReturn:
    if os.environ.get("CAPTIONER_DEBUG"):
        import traceback

        traceback.print_exc()
    if isinstance(error, CaptionerError):
        console.error(error.reason, error.remedy)
    elif isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        console.error(
            f"this needs the package {package}, which is not installed.",
            f"Install it with: pip install {package}",
        )
    elif isinstance(error, MemoryError) or "std::bad_alloc" in str(error):
        console.error("not enough memory.", "Close other programs, or use --batch-size 1.")
    elif isinstance(error, OSError) and error.filename is None and error.errno in _STREAM_ERRORS:
        console.error(
            f"cannot write to standard output: {error.strerror}.",
            "Free some space on the disk, or redirect the output to another disk.",
        )
    elif isinstance(error, FileNotFoundError) and not _has_current_folder():
        console.error(
            "the current folder no longer exists, so relative paths cannot be resolved.",
            "Change to another folder, or use absolute paths.",
        )
    else:
        console.error(
            f"{type(error).__name__}: {error}",
            "This is a bug in captioner or in a library it uses. "
            "Set CAPTIONER_DEBUG=1 to see the traceback.",
        )
    try:
        sys.stdout.flush()
    except OSError:  # A full disk: the interpreter must not report it again at exit.
        streams.abandon(sys.stdout)
    raise typer.Exit(2 if isinstance(error, UsageError) else 1) from error


def _has_current_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        return False
    return True


def _is_sequence(value: object) -> bool:
    return isinstance(value, list | tuple)


def _expand(value: object) -> object:
    """A path with a leading `~/` expanded; any other value unchanged."""
    if isinstance(value, Path) and value.parts[:1] == ("~",):
        return expanded(value)
    return value


def _is_argument(param: Any) -> bool:
    return bool(param.param_type_name == "argument")


def _display_name(param: Any) -> str:
    return str(param.metavar or param.name.upper())


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    # Plain help takes half as long as Rich's, pipes well and fits narrow terminals.
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
    """Caption photos, search them in plain words, and train your own model.

    Everything runs on this machine. For help on a command: `captioner COMMAND --help`.
    """
