"""Whether ignore files leave out a photo that is known already."""

from __future__ import annotations

import os
from pathlib import Path

from captioner.errors import CaptionerError
from captioner.photos.ignore_rules import IGNORE_FILE, NO_MEDIA, Rules


class IgnoreFiles:
    """The `.captionerignore` and `.nomedia` files that hold below a folder.

    What one run alone leaves out, by its options, does not count.

    Parameters
    ----------
    root
        An absolute path, as a walk would be given it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._rules: dict[Path, Rules | None] = {}

    def leave_out(self, path: Path) -> bool:
        """Whether a walk of the root passes over a path below it. False where it cannot be told."""
        try:
            folder = self._root
            rules = self._in(folder, None)
            for name in path.relative_to(self._root).parts[:-1]:
                folder = folder / name
                rules = rules and self._in(folder, rules)
                if rules is None:
                    return True
            return rules is None or rules.leave_out(path.name, False)
        except (OSError, ValueError, CaptionerError):
            return False

    def _in(self, folder: Path, above: Rules | None) -> Rules | None:
        """The rules in a folder; None where the walk does not enter it."""
        if folder not in self._rules:
            self._rules[folder] = self._read(folder, above)
        return self._rules[folder]

    def _read(self, folder: Path, above: Rules | None) -> Rules | None:
        if above is None:
            return Rules.at(folder, ()).inside(folder, (IGNORE_FILE,))
        if above.leave_out(folder.name, True) or os.path.lexists(folder / NO_MEDIA):
            return None
        return above.below(folder.name).inside(folder, (IGNORE_FILE,))
