"""Dockerfile and compose.yaml name what is there, and the image brings no TensorFlow."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from processes import ROOT

from captioner.cli.app import COMMANDS

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text("utf-8")


def instructions(name: str) -> list[list[str]]:
    """The words of each instruction of a kind, whatever lines it goes over."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in joined.splitlines() if line.startswith(f"{name} ")]


def sources() -> list[str]:
    """What is copied from this folder rather than from another stage."""
    return [
        source
        for words in instructions("COPY")
        if not words[0].startswith("--from")
        for source in words[:-1]
    ]


def test_what_is_copied_is_there_and_not_ignored() -> None:
    assert sources()
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    for source in sources():
        assert (ROOT / source).exists()
        assert source in kept


def test_all_that_the_package_is_built_from_is_copied() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    for name in [*re.findall(r'^readme = "(.+)"', project, re.M), "captioner", "weights/base"]:
        assert name in sources()


def test_the_image_leaves_out_nothing_else_than_training() -> None:
    lines = (ROOT / "docker/overrides.txt").read_text("utf-8").splitlines()
    left_out = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert {each.name for each in left_out} == {"keras", "tensorflow"}
    for each in left_out:
        assert each.marker
        assert not each.marker.evaluate()
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    for each in left_out:
        assert f'"{each.name}>=' in project


def test_the_image_runs_as_no_root_and_keeps_its_data_in_a_volume() -> None:
    assert instructions("USER") == [["1000:1000"]]
    assert instructions("VOLUME") == [["/data"]]
    assert "CAPTIONER_HOME=/data" in instructions("ENV")[-1]
    assert 'ENTRYPOINT ["captioner"]' in DOCKERFILE


def test_compose() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML reads compose.yaml")
    compose = yaml.safe_load(COMPOSE)
    service = compose["services"]["captioner"]
    assert (ROOT / service["build"] / "Dockerfile").is_file()
    assert service["command"][0] in COMMANDS
    assert service["healthcheck"]["test"][:2] == ["CMD", "captioner"]
    assert service["healthcheck"]["test"][2] in COMMANDS
    photos, data = service["volumes"]
    assert photos.endswith(":/photos:${PHOTOS_MODE:-ro}")
    assert service["command"][1:] == ["/photos"]
    assert data.partition(":")[0] in compose["volumes"]
    assert data.endswith(":/data")
    assert service["user"] == "${PUID:-1000}:${PGID:-1000}"
    assert service["network_mode"] == "none"
    assert service["read_only"] is True


def test_the_page_about_it_names_what_is_there() -> None:
    page = Path(ROOT / "docs/nas.md").read_text("utf-8")
    for name in ("PUID", "PGID", "PHOTOS", "PHOTOS_MODE"):
        assert f"${{{name}" in COMPOSE
        assert name in page
    for command in re.findall(r"captioner captioner (\w+)", page + COMPOSE):
        assert command in COMMANDS
