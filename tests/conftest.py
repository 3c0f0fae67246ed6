"""What all tests share."""

from __future__ import annotations

import os
import signal
import sqlite3  # noqa: F401  before TensorFlow: see captioner.training
from pathlib import Path

import pytest

# A shell starts what runs in the background with Ctrl-C ignored, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def photos_folder() -> Path:
    """The folder of real photos: `CAPTIONER_TEST_PHOTOS`, else `../shared/photos`."""
    beside = Path(__file__).resolve().parents[2] / "shared/photos"
    folder = Path(os.environ.get("CAPTIONER_TEST_PHOTOS", beside))
    if not folder.is_dir():
        pytest.skip(f"no photos at {folder}: name a folder of them in CAPTIONER_TEST_PHOTOS")
    return folder
