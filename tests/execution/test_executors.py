"""The registry of executors: the one that runs is picked in one place, by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from colour_describer import photo
from recording_describer import RecordingDescriber

from captioner import execution
from captioner.api import Captioner
from captioner.errors import UsageError
from captioner.types import Failure

ELSEWHERE = '''
from captioner.types import Failure

class Refusing:
    """Describes nothing."""
    ordered = True

    def describe(self, photos, describer, *, progress=None, workers=None):
        for one in photos:
            yield Failure(one.path, "refused")

EXECUTOR = Refusing()
'''


@pytest.fixture
def refusing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An executor in one file outside the package, registered and the default."""
    (tmp_path / "refusing_executor.py").write_text(ELSEWHERE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(execution, "_MODULES", dict(execution._MODULES))
    execution.register("refusing", "refusing_executor")
    monkeypatch.setattr(execution, "DEFAULT", "refusing")
    yield "refusing"
    sys.modules.pop("refusing_executor", None)


def test_threads_are_the_default_and_keep_the_order() -> None:
    assert execution.get() is execution.get("threads")
    assert execution.get().ordered


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UsageError, match="no executor 'dask'"):
        execution.get("dask")


def test_an_executor_outside_the_package_replaces_threads(refusing: str, tmp_path: Path) -> None:
    assert refusing in execution.names()
    path = photo(tmp_path / "red.jpg", "red")
    [result] = Captioner(RecordingDescriber()).caption(path)
    assert isinstance(result, Failure)
    assert result.reason == "refused"
