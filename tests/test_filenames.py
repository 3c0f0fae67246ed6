"""Short names for folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from captioner.filenames import distinct_names


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["a/base"], ["base"]),
        (["a/base", "b/base", "b/small"], ["a/base", "b/base", "small"]),
        (["x/a/base", "y/a/base", "a"], ["x/a/base", "y/a/base", "a"]),
        (["here/..", "here/../b"], [Path.cwd().name, "b"]),
    ],
)
def test_no_more_parents_than_it_takes(folders: list[str], names: list[str]) -> None:
    found = distinct_names([Path(folder) for folder in folders])
    assert found == [name.replace("/", os.sep) for name in names]


def test_one_folder_twice() -> None:
    assert distinct_names([Path("/a/b"), Path("/a/b")]) == [str(Path("/a/b").absolute())] * 2
