"""Choosing the executor for a command."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.errors import UsageError

if TYPE_CHECKING:
    from captioner.execution import Executor


def chosen(
    name: str, staging: str | None = None, database: Path | None = None
) -> Callable[[], Executor]:
    """Makes the executor that `--executor` and `--staging` name, once it is needed.

    Parameters
    ----------
    database
        The index that is filled: Ray stages parts next to it by default.

    Raises
    ------
    UsageError
        If there is a staging folder for an executor without one.
    """
    from captioner import execution

    if name != "ray":
        if staging is not None:
            raise UsageError("--staging requires --executor ray.", "Add it, or omit --staging.")
        return partial(execution.get, execution.suited() if name == "auto" else name)

    def make() -> Executor:
        from captioner.execution.ray import RayExecutor
        from captioner.execution.staging import default_staging

        return RayExecutor(default_staging(database) if database and not staging else staging)

    return make
