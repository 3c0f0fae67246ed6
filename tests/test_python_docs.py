"""docs/python.md: every code block runs, in order, with the shipped model."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from processes import ROOT

pytestmark = pytest.mark.skipif(
    not (ROOT / "weights/base/bundle.json").is_file(), reason="there is no weights/base yet"
)


def test_every_block_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "holiday").mkdir()
    for name in ("example.jpg", "holiday/beach.jpg"):
        shutil.copy(ROOT / "example.jpg", tmp_path / name)
    page = (ROOT / "docs/python.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    assert len(blocks) >= 6
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "example.jpg A man is looking through a telescope." in printed
    assert "1 new, 0 unchanged, 0 unreadable" in printed
