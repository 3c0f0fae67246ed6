"""Order, batches, bounds and ends of the pipeline. The model is a fake, all else is real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from colour_describer import COLOURS, photo
from recording_describer import RecordingDescriber

from captioner.execution import decoding, describe
from captioner.photos.walk import walk
from captioner.types import DecodedPhoto, Description, Failure, Photo


def make(folder: Path, number: int, broken: frozenset[int] = frozenset()) -> list[str]:
    """Write photos; the captions that a `RecordingDescriber` gives them, "" for broken ones."""
    said = []
    for at in range(number):
        colour = COLOURS[at % len(COLOURS)]
        path = photo(folder / f"{at:03}.jpg", colour)
        if at in broken:
            path.write_bytes(path.read_bytes()[:100])
        said.append("" if at in broken else f"A {colour} photo.")
    return said


def said(results: Iterator[Description | Failure]) -> list[str]:
    return ["" if isinstance(r, Failure) else r.captions[0].text for r in results]


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


class TestDescribe:
    @pytest.mark.parametrize("number", [0, 1, 3, 4, 5, 8, 30])
    @pytest.mark.parametrize("ahead", [0, 1, 20])
    def test_every_photo_once_and_in_order(self, tmp_path: Path, number: int, ahead: int) -> None:
        expected = make(tmp_path, number)
        describer = RecordingDescriber(ahead=ahead)
        results = list(describe(walk([tmp_path]), describer))
        assert said(iter(results)) == expected
        assert [r.photo.path.name for r in results if r.photo] == [
            f"{at:03}.jpg" for at in range(number)
        ]
        assert describer.encoded == [4] * (number // 4) + [number % 4] * bool(number % 4)

    @pytest.mark.parametrize(
        "broken",
        [{0}, {29}, {0, 1, 2, 3, 4, 5, 6}, set(range(20, 30)), {3, 4, 11, 12, 13}, set(range(30))],
    )
    def test_failures_stand_in_their_photos_places(self, tmp_path: Path, broken: set[int]) -> None:
        expected = make(tmp_path, 30, frozenset(broken))
        describer = RecordingDescriber()
        assert said(describe(walk([tmp_path]), describer)) == expected
        # They take no place in a batch.
        assert len(describer.encoded) == -(-(30 - len(broken)) // 4)

    def test_paths_that_are_not_there_stand_in_theirs(self, tmp_path: Path) -> None:
        make(tmp_path / "a", 2)
        given = [tmp_path / "no", tmp_path / "a", tmp_path / "nor.jpg"]
        first, *_, last = results = list(describe(walk(given), RecordingDescriber()))
        assert len(results) == 4
        assert isinstance(first, Failure)
        assert first.path == tmp_path / "no"
        assert isinstance(last, Failure)
        assert last.path == tmp_path / "nor.jpg"

    def test_a_description_is_of_its_own_photo(self, tmp_path: Path) -> None:
        make(tmp_path, 9)
        for result in describe(walk([tmp_path]), RecordingDescriber()):
            assert isinstance(result, Description)
            assert (result.width, result.height, result.format) == (24, 16, "JPEG")
            assert result.captions[0].text == f"A {COLOURS[int(result.photo.path.stem) % 3]} photo."

    def test_progress_hears_of_each_photo_once(self, tmp_path: Path) -> None:
        make(tmp_path, 20, frozenset({2, 3, 17}))
        heard: list[Description | Failure] = []
        threads = set()

        def progress(result: Description | Failure) -> None:
            threads.add(threading.current_thread())
            heard.append(result)

        results = list(describe(walk([tmp_path]), RecordingDescriber(), progress=progress))
        assert {id(r) for r in heard} == {id(r) for r in results}
        assert len(heard) == 20
        assert threads == {threading.current_thread()}

    def test_nothing_runs_far_ahead_of_a_slow_consumer(self, tmp_path: Path) -> None:
        photo(tmp_path / "a.jpg", "red")
        (one,) = walk([tmp_path])
        walked = count()
        endless = (one for _ in walked)
        describer = RecordingDescriber(batch_size=4, ahead=2)
        results = describe(endless, describer, workers=3)
        for _ in range(40):
            next(results)
        time.sleep(0.05)
        # 40 taken; 2 batches in flight; one more decoded, and one photo a worker.
        assert next(walked) - 1 <= 40 + 2 * 4 + 4 + 3
        assert describer.encoded == [4] * 12
        results.close()
        assert not decoders()

    def test_decoding_goes_on_while_photos_are_described(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make(tmp_path, 12)
        describing, all_read = threading.Event(), threading.Event()
        read, done = decoding.read, count(1)

        def watched(photo: Photo, size: int) -> DecodedPhoto:
            if int(photo.path.stem) >= 8:  # after the two batches that are pulled first
                assert describing.wait(10)
            pixels = read(photo, size)
            if next(done) == 12:
                all_read.set()
            return pixels

        def wait(described: int) -> None:
            describing.set()
            assert all_read.wait(10)

        monkeypatch.setattr(decoding, "read", watched)
        describer = RecordingDescriber(ahead=1, before_describing=wait)
        assert all(isinstance(r, Description) for r in describe(walk([tmp_path]), describer))

    def test_a_fault_of_ours_costs_one_photo(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = make(tmp_path, 6)
        read = decoding.read

        def faulty(photo: Photo, size: int) -> object:
            if photo.path.stem == "003":
                raise ZeroDivisionError("division by zero")
            return read(photo, size)

        monkeypatch.setattr(decoding, "read", faulty)
        results = list(describe(walk([tmp_path]), RecordingDescriber()))
        assert said(iter(results)) == [*expected[:3], "", *expected[4:]]
        assert isinstance(results[3], Failure)
        assert "unexpected ZeroDivisionError: division by zero" in results[3].reason

    @pytest.mark.parametrize("error", [RuntimeError("the engine broke"), KeyboardInterrupt()])
    def test_what_the_model_raises_is_raised_on_and_threads_end(
        self, tmp_path: Path, error: BaseException
    ) -> None:
        make(tmp_path, 20)

        def fail(described: int) -> None:
            if described:
                raise error

        results = describe(walk([tmp_path]), RecordingDescriber(before_describing=fail))
        for _ in range(4):
            next(results)
        with pytest.raises(type(error)):
            next(results)
        assert not decoders()

    def test_what_the_walk_raises_is_raised_on_and_threads_end(self, tmp_path: Path) -> None:
        make(tmp_path, 20)

        def interrupted() -> Iterator[Photo | Failure]:
            for at, found in enumerate(walk([tmp_path])):
                if at == 15:
                    raise KeyboardInterrupt
                yield found

        with pytest.raises(KeyboardInterrupt):
            list(describe(interrupted(), RecordingDescriber()))
        assert not decoders()


SCRIPT = """
import sys
from itertools import repeat
from pathlib import Path
from recording_describer import RecordingDescriber
from captioner.photos.walk import walk
from captioner.execution import describe

[photo] = walk([Path(sys.argv[1])])
try:
    for number, _ in enumerate(describe(repeat(photo), RecordingDescriber())):
        if number == 20:
            print("running", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_the_process(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.jpg", "red")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert (out, err, process.returncode) == ("interrupted\n", "", 0)
