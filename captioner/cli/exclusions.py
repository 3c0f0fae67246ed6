"""`-word` in a search query: excludes a word, unless it is an option."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from captioner.cli.app import Command
from captioner.errors import UsageError


class SearchCommand(Command):
    """A command whose query may contain `-word`. A mistyped `--option` is still an error."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Pass exclusions on as arguments."""
        parameters: list[Any] = self.get_params(ctx)
        options = [param for param in parameters if param.param_type_name == "option"]
        names = {name for option in options for name in (*option.opts, *option.secondary_opts)}
        flags = {name for option in options if option.is_flag for name in option.opts}
        flags |= set(ctx.help_option_names)
        result: list[str] = super().parse_args(ctx, separate(args, names | flags, flags))
        return result


def separate(args: Sequence[str], names: Collection[str], flags: Collection[str]) -> list[str]:
    """Move exclusions behind `--`, where nothing is parsed as an option.

    Parameters
    ----------
    names
        Names of all options, such as "-n" and "--limit".
    flags
        Names of the options that take no value.

    Raises
    ------
    UsageError
        If `-word` is an option with a missing dash.
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
            if arg in names and arg not in flags:  # its value, which may begin with a dash
                options += [value for value in (next(rest, None),) if value is not None]
        elif f"-{arg}" in names:
            raise UsageError(
                f"{arg} could be the option -{arg} or an excluded word.",
                f"Write -{arg} for the option, or -- {arg} at the end to exclude the word.",
            )
        else:
            excluded.append(arg)
    if not (excluded or words):
        return options
    alone = len(excluded) == 1 and not words and all(arg.startswith("-") for arg in options)
    # The shell removed the quotes from -"red ball". A single one is a whole query: '-cat dog'.
    marked = excluded if alone else [_quoted(arg) for arg in excluded]
    return [*options, "--", *marked, *words]


def _excludes(arg: str, names: Collection[str], flags: Collection[str]) -> bool:
    """Whether an argument is a dash and a word: "-cat", but not "-n5" or "-0"."""
    if not arg.startswith("-") or arg.startswith("--") or len(arg) < 3 or arg in names:
        return False
    letters = arg[1:]
    while letters and f"-{letters[0]}" in flags:
        letters = letters[1:]
    takes_value = f"-{letters[:1]}" in names
    return bool(letters) and not (takes_value and letters[1:].lstrip("=").isdecimal())


def _quoted(arg: str) -> str:
    return f'-"{arg[1:]}"' if any(map(str.isspace, arg)) and '"' not in arg else arg
