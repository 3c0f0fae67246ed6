"""Text arguments that begin with a dash: `captioner edit PHOTO "-5 degrees"`."""

from __future__ import annotations

import re
from typing import Any

from captioner.cli.app import Command

# A dash, and something that no option has: a space, or no letter after the dashes.
_TEXT = re.compile(r"-+[^a-zA-Z-]|-.*\s", re.DOTALL)


class TextCommand(Command):
    """A command whose last argument is a text, which may begin with a dash: "-5 degrees"."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line; what cannot be an option after the first argument is text."""
        if "--" in args:
            return super().parse_args(ctx, args)
        takes_value = {
            name: not getattr(param, "is_flag", False)
            for param in self.get_params(ctx)
            for name in (*param.opts, *param.secondary_opts)
            if name.startswith("-")
        }
        arguments, texts, rest = 0, [], iter(args)
        others: list[str] = []
        for word in rest:
            if arguments and _TEXT.match(word):
                texts.append(word)
                continue
            others.append(word)
            if takes_value.get(word):
                others += [value for value in [next(rest, None)] if value is not None]
            elif word == "-" or not word.startswith("-"):
                arguments += 1
        return super().parse_args(ctx, [*others, "--", *texts] if texts else others)
