"""The number of cores: the machine's, or those that a container may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from captioner.system import cores


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, 8), ("max 100000\n", 8), ("200000 100000\n", 2), ("50000 100000\n", 1),
     ("150000 100000\n", 2), ("9900000 100000\n", 8)],
)  # fmt: skip
def test_a_quota_limits_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, expected: int
) -> None:
    if content is not None:
        (tmp_path / "cpu.max").write_text(content)
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert cores.cores() == expected
