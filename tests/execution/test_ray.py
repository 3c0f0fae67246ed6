"""Ray: the same rows as one process, whatever is killed; buckets; parts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from colour_describer import COLOURS, photo
from portable_describer import PortableDescriber

from captioner.errors import CaptionerError, UsageError
from captioner.index import Index
from captioner.indexing import UpdateSummary, update
from captioner.photos.walk import listings
from captioner.types import Describer

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'captioner[ray]'")
moto = pytest.importorskip("moto.server", reason="moto[server] is not installed")
boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")

from captioner.execution import cluster as clusters  # noqa: E402
from captioner.execution import threads  # noqa: E402
from captioner.execution.ray import RayExecutor  # noqa: E402

pytestmark = pytest.mark.process

BUCKET = "pictures"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A local S3 server, which this process and those that it starts use."""
    before = dict(os.environ)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    os.environ |= {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    yield address
    server.stop()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def cluster(server: str) -> Iterator[None]:
    """Ray with two cores, for all tests: it takes seconds to start."""
    clusters.start(ray, 2)
    yield
    ray.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "processes").mkdir()
    make(tmp_path / "photos", 24, broken={5})
    return tmp_path


def make(folder: Path, number: int, broken: set[int]) -> None:
    for at in range(number):
        path = photo(folder / f"{at % 3}/{at:03}.jpg", COLOURS[at % 3])
        if at in broken:
            path.write_bytes(path.read_bytes()[:100])
            os.utime(path, (0, 0))  # not a file that is still being copied


def indexed(
    database: Path, root: Path, describer: Describer, executor: object = threads.EXECUTOR
) -> UpdateSummary:
    with Index.open(database, write=True) as index:
        return update(
            index,
            listings([root]),
            lambda: describer,
            roots=[root],
            executor=lambda: executor,  # type: ignore[arg-type,return-value]
        )


def rows(database: Path) -> list[dict[str, object]]:
    with Index.open(database) as index:
        return [{**record, "recorded_at": None} for record in index.records()]


def described(folder: Path) -> list[str]:
    """The names of the photos that any process described, once for each time."""
    files = (file for file in (folder / "processes").iterdir() if file.name.isdecimal())
    return sorted(line for file in files for line in file.read_text().split())


def by_threads(folder: Path, root: Path) -> list[dict[str, object]]:
    (folder / "alone").mkdir()
    indexed(folder / "threads.db", root, PortableDescriber(folder / "alone"))
    return rows(folder / "threads.db")


@pytest.mark.usefixtures("cluster")
class TestRows:
    def test_the_same_as_by_one_process_and_then_nothing_is_left(self, folder: Path) -> None:
        executor = RayExecutor(str(folder / "parts"))
        describer = PortableDescriber(folder / "processes")
        summary = indexed(folder / "ray.db", folder / "photos", describer, executor)
        assert (summary.described, summary.failed) == (23, 1)
        assert rows(folder / "ray.db") == by_threads(folder, folder / "photos")
        assert len(described(folder)) == len(set(described(folder))) == 23
        assert not list((folder / "parts").rglob("*.parquet"))
        # Unchanged photos are not sent.
        assert indexed(folder / "ray.db", folder / "photos", describer, executor).unchanged == 24
        assert len(described(folder)) == 23

    @pytest.mark.slow
    def test_photos_keep_the_names_they_were_given(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(folder)
        executor = RayExecutor("parts")
        results = executor.describe(walked(Path("photos")), PortableDescriber(folder / "processes"))
        names = sorted(str(one.photo and one.photo.path_str) for one in results)
        assert names[0] == "photos/0/000.jpg"
        assert len(names) == 24

    def test_a_killed_worker_is_replaced(self, folder: Path) -> None:
        describer = PortableDescriber(folder / "processes", deadly="010.jpg")
        executor = RayExecutor(str(folder / "parts"))
        indexed(folder / "ray.db", folder / "photos", describer, executor)
        assert (folder / "processes/killed").exists()
        assert rows(folder / "ray.db") == by_threads(folder, folder / "photos")

    @pytest.mark.slow
    def test_finished_parts_are_taken_up(self, folder: Path) -> None:
        describer = PortableDescriber(folder / "processes")
        results = RayExecutor(str(folder / "parts")).describe(walked(folder / "photos"), describer)
        next(results)
        results.close()  # as if the driver had died: nothing is stored
        before = described(folder)
        assert before
        assert list((folder / "parts").rglob("*.parquet"))
        executor = RayExecutor(str(folder / "parts"))
        indexed(folder / "ray.db", folder / "photos", describer, executor)
        assert rows(folder / "ray.db") == by_threads(folder, folder / "photos")

    def test_buckets_hold_photos_and_parts(self, folder: Path) -> None:
        client = boto3.client("s3")
        for file in sorted((folder / "photos").rglob("*.jpg")):
            name = file.relative_to(folder).as_posix()
            client.put_object(Bucket=BUCKET, Key=name, Body=file.read_bytes())
        root = Path(f"s3://{BUCKET}/photos")
        describer = PortableDescriber(folder / "processes")
        executor = RayExecutor(f"s3://{BUCKET}/parts")
        summary = indexed(folder / "ray.db", root, describer, executor)
        assert (summary.described, summary.failed) == (23, 1)
        found = rows(folder / "ray.db")
        assert found == by_threads(folder, root)
        assert found[0]["path"] == f"s3://{BUCKET}/photos/0/000.jpg"
        assert "Contents" not in client.list_objects_v2(Bucket=BUCKET, Prefix="parts")
        again = indexed(folder / "ray.db", root, describer, executor)
        assert (again.unchanged, again.described, again.missing) == (24, 0, 0)

    def test_another_model_on_a_worker_is_an_error(self, folder: Path) -> None:
        class Other(PortableDescriber):
            model_id = "another"

        with pytest.raises(CaptionerError, match="has the model c0104e5c0104 instead of another"):
            list(
                RayExecutor(str(folder / "parts")).describe(
                    walked(folder / "photos"), Other(folder / "processes")
                )
            )

    @pytest.mark.slow
    def test_five_hundred_photos(self, tmp_path: Path) -> None:
        (tmp_path / "processes").mkdir()
        make(tmp_path / "photos", 500, broken={7, 300})
        executor = RayExecutor(str(tmp_path / "parts"))
        describer = PortableDescriber(tmp_path / "processes", deadly="250.jpg")
        indexed(tmp_path / "ray.db", tmp_path / "photos", describer, executor)
        assert rows(tmp_path / "ray.db") == by_threads(tmp_path, tmp_path / "photos")


def walked(root: Path) -> Iterator[object]:
    from captioner.photos.walk import walk

    return walk([root])


def test_a_describer_that_stays_where_it_is_is_refused(folder: Path) -> None:
    from recording_describer import RecordingDescriber

    with pytest.raises(UsageError, match="cannot be loaded on other machines"):
        list(RayExecutor(str(folder)).describe(walked(folder), RecordingDescriber()))


SCRIPT = """
import sys
from pathlib import Path
from portable_describer import PortableDescriber
from captioner.execution.ray import RayExecutor
from captioner.index import Index
from captioner.indexing import update
from captioner.photos.walk import listings

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    root = folder / "photos"
    describer = PortableDescriber(folder / "processes")

    class Announcing(RayExecutor):
        def describe(self, photos, describer, **options):
            for result in super().describe(photos, describer, **options):
                yield result
                print("running", flush=True)
                sys.stdin.read(1)

    executor = Announcing(str(folder / "parts"))
    with Index.open(folder / "ray.db", write=True) as index:
        update(index, listings([root]), lambda: describer, roots=[root], executor=lambda: executor)
"""


@pytest.mark.posix
@pytest.mark.usefixtures("cluster")
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_killed_driver_goes_on(folder: Path) -> None:
    script = folder / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, script, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    finally:
        process.kill()
    assert list((folder / "parts").rglob("*.parquet"))
    executor = RayExecutor(str(folder / "parts"))
    describer = PortableDescriber(folder / "processes")
    indexed(folder / "ray.db", folder / "photos", describer, executor)
    assert rows(folder / "ray.db") == by_threads(folder, folder / "photos")
