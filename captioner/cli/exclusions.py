"""`-word` on a command line: an exclusion of a search, where it is no option."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from captioner.cli.app import Command
from captioner.errors import UsageError


class SearchCommand(Command):
    """A command whose query may hold `-word`. A mistyped `--option` is still an error."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Hand exclusions on as arguments."""
        parameters: list[Any] = self.get_params(ctx)
        options = [param for param in parameters if param.param_type_name == "option"]
        names = {name for option in options for name in (*option.opts, *option.secondary_opts)}
        flags = {name for option in options if option.is_flag for name in option.opts}
        flags |= set(ctx.help_option_names)
        result: list[str] = super().parse_args(ctx, separate(args, names | flags, flags))
        return result


def separate(args: Sequence[str], names: Collection[str], flags: Collection[str]) -> list[str]:
    """A command line with its exclusions after `--`, where nothing is an option.

    Parameters
    ----------
    names
        Of all options, "-n" and "--limit".
    flags
        Those that take no value.

    Raises
    ------
    UsageError
        Where `-word` may be an option with a dash too few.
    """
    options: list[str] = []
    excluded: list[str] = []
    words: list[str] = []
    rest = iter(args)
    for arg in rest:
        if arg == "--":
            words += rest
        elif not _excludes(arg, names, flags):
            options.append(arg)
            if arg in names and arg not in flags:  # its value, which may begin with a minus
                options += [value for value in (next(rest, None),) if value is not None]
        elif f"-{arg}" in names:
            raise UsageError(
                f"{arg} may mean the option -{arg}, or photos without the word.",
                f"Write -{arg} for the option, and -- {arg} at the end to exclude the word.",
            )
        else:
            excluded.append(arg)
    if not (excluded or words):
        return options
    alone = len(excluded) == 1 and not words and all(arg.startswith("-") for arg in options)
    # The shell took the quotes off -"red ball". Standing alone, it is the whole query: '-cat dog'.
    marked = excluded if alone else [_quoted(arg) for arg in excluded]
    return [*options, "--", *marked, *words]


def _excludes(arg: str, names: Collection[str], flags: Collection[str]) -> bool:
    """Whether an argument is a minus and a word: "-cat", and neither "-n5" nor "-0"."""
    if not arg.startswith("-") or arg.startswith("--") or len(arg) < 3 or arg in names:
        return False
    letters = arg[1:]
    while letters and f"-{letters[0]}" in flags:
        letters = letters[1:]
    takes_value = f"-{letters[:1]}" in names
    return bool(letters) and not (takes_value and letters[1:].lstrip("=").isdecimal())


def _quoted(arg: str) -> str:
    return f'-"{arg[1:]}"' if any(map(str.isspace, arg)) and '"' not in arg else arg
