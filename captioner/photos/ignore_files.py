"""Whether ignore files apply to a photo that the index already knows, without a walk."""

from __future__ import annotations

import os
from pathlib import Path

from captioner.errors import CaptionerError
from captioner.photos.ignore_rules import IGNORE_FILE, NO_MEDIA, IgnoreRules


class IgnoreFiles:
    """The `.captionerignore` and `.nomedia` files in effect below a folder.

    What the options of a single run exclude is not considered.

    Parameters
    ----------
    root
        An absolute path, as a walk would be given it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._rules: dict[Path, IgnoreRules | None] = {}

    def ignores(self, path: Path) -> bool:
        """Whether a walk of the root ignores a path below it. False if that cannot be decided."""
        try:
            folder = self._root
            rules = self._rules_in(folder, None)
            for name in path.relative_to(self._root).parts[:-1]:
                folder = folder / name
                rules = rules and self._rules_in(folder, rules)
                if rules is None:
                    return True
            return rules is None or rules.ignores(path.name, False)
        except (OSError, ValueError, CaptionerError):
            return False

    def _rules_in(self, folder: Path, parent: IgnoreRules | None) -> IgnoreRules | None:
        """The rules inside a folder; None if the walk does not enter it."""
        if folder not in self._rules:
            self._rules[folder] = self._read(folder, parent)
        return self._rules[folder]

    def _read(self, folder: Path, parent: IgnoreRules | None) -> IgnoreRules | None:
        if parent is None:
            return IgnoreRules.at(folder, ()).inside(folder, (IGNORE_FILE,))
        if parent.ignores(folder.name, True) or os.path.lexists(folder / NO_MEDIA):
            return None
        return parent.below(folder.name).inside(folder, (IGNORE_FILE,))
