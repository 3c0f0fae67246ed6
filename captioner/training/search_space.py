"""The options that `captioner tune` varies, and the values that each may take."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.errors import UsageError

Value = str | int | float | bool

_RANGE = re.compile(r"(?P<low>[^.,:]+(?:\.\d+)?(?:e-?\d+)?)\.\.(?P<high>[^:,]+)(?P<log>:log)?")
FORM = (
    "Write NAME=LOW..HIGH, NAME=LOW..HIGH:log or NAME=ONE,OTHER, such as rate=1e-4..1e-2:log or "
    "preset=base,classic."
)


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from low to high, both included; whole numbers if both are."""

    low: float
    high: float
    log: bool = False
    """Whether the logarithm is uniform, not the number."""

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def examples(self) -> tuple[Value, ...]:
        """The extremes, which must be allowed."""
        return self.low, self.high

    def has(self, value: object) -> bool:
        """Whether a value is one of these."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high  # type: ignore[operator]

    def distribution(self) -> Any:
        """The same for Optuna."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(float(self.low), float(self.high), log=self.log)

    def __str__(self) -> str:
        return f"{self.low}..{self.high}{':log' if self.log else ''}"


@dataclass(frozen=True, slots=True)
class Choices:
    """A few values without an order."""

    values: tuple[Value, ...]

    @property
    def examples(self) -> tuple[Value, ...]:
        """All of them."""
        return self.values

    def has(self, value: object) -> bool:
        """Whether a value is one of these."""
        return value in self.values

    def distribution(self) -> Any:
        """The same for Optuna."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def __str__(self) -> str:
        return ",".join(
            str(one).lower() if isinstance(one, bool) else str(one) for one in self.values
        )


Space = Mapping[str, Range | Choices]
"""By the option's name on the command line, without the two hyphens."""


def parse(words: Sequence[str]) -> dict[str, Range | Choices]:
    """Read `rate=1e-4..1e-2:log` or `preset=base,classic`.

    Raises
    ------
    UsageError
        If a word says something else.
    """
    space: dict[str, Range | Choices] = {}
    for word in words:
        name, equals, values = word.partition("=")
        name = name.strip().removeprefix("--")
        if not name or not equals or not values.strip():
            raise UsageError(f'--vary: "{word}" does not name values.', FORM)
        space[name] = _values(name, values.strip())
    return space


def read(table: object, file: Path) -> dict[str, Range | Choices]:
    """Read the table `[vary]` of a TOML file: ranges as tables or texts, choices as lists.

    Raises
    ------
    UsageError
        If it is something else.
    """
    if not isinstance(table, dict):
        raise UsageError(f"{file}: vary is no table.", "Write [vary], and one option per line.")
    space: dict[str, Range | Choices] = {}
    for name, values in table.items():
        match values:
            case str():
                space[name] = _values(name, values)
            case list() if values and all(isinstance(one, Value) for one in values):
                space[name] = Choices(tuple(values))
            case {"low": int() | float() as low, "high": int() | float() as high}:
                space[name] = _range(name, low, high, log=values.get("log") is True)
            case _:
                raise UsageError(
                    f"{file}: vary says {name} = {values!r}.",
                    f'Write {name} = {{ low = 1, high = 8, log = true }}, "1..8:log" or [1, 2].',
                )
    return space


def _values(name: str, text: str) -> Range | Choices:
    if match := _RANGE.fullmatch(text):
        low, high = typed(match["low"]), typed(match["high"])
        if isinstance(low, str) or isinstance(high, str):
            raise UsageError(f'{name}: "{text}" is no range of numbers.', FORM)
        return _range(name, low, high, log=bool(match["log"]))
    if ".." in text:
        raise UsageError(f'{name}: "{text}" is no range of numbers.', FORM)
    values = tuple(typed(one.strip()) for one in text.split(",") if one.strip())
    if not values:
        raise UsageError(f'{name}: "{text}" names no values.', FORM)
    return Choices(values)


def _range(name: str, low: float, high: float, *, log: bool) -> Range:
    if not low < high:
        raise UsageError(f"{name}: {low}..{high} is no range.", "The lower number comes first.")
    if log and low <= 0:
        raise UsageError(
            f"{name}: {low}..{high} has no logarithms.", "Begin above 0, or omit :log."
        )
    return Range(low, high, log)


def typed(text: str) -> Value:
    """A value as it is typed: a number, true or false, or the text itself."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
