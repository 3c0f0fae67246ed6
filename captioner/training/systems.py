"""Systems that are compared: bundles, and bundles of one configuration with different seeds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captioner.app_paths import expanded
from captioner.errors import UsageError
from captioner.filenames import distinct_names
from captioner.model.bundle import Bundle

Seeds = tuple[int, ...]
"""Of each step of a bundle's training: `captioner train`, then any `captioner train-cider`."""

_SELF_CRITICAL = "self-critical"
_OWN = frozenset({"seed", "bundle"})
"""Training options in which runs of one configuration differ; `bundle` is the id of the bundle that
`train-cider` begins with."""
_RECORDED = ("data", "sentences without photos", "concepts", "annotated photos")
"""What the training record says of the data."""
_NUMBERED = re.compile(r"(.+?)[-_. ]*(?:seed)?[-_. ]*\d+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class System:
    """One or more bundles of one configuration, whose figures are averaged."""

    name: str
    bundles: tuple[Bundle, ...]


def read_systems(arguments: Sequence[str]) -> list[System]:
    """Open and verify bundles, and group those of one configuration.

    Parameters
    ----------
    arguments
        Folders of bundles, or `NAME=BUNDLE,BUNDLE,...` for bundles that are a system whatever their
        manifests say. Others are grouped if their manifests record the same training, apart from
        the seeds, and the seeds differ.

    Returns
    -------
    In the order of the first bundle of each.

    Raises
    ------
    UsageError
        If an argument names no bundle, or two name the same one.
    CaptionerError
        If a bundle is damaged or too new.
    """
    parsed = [_parse(argument) for argument in arguments]
    bundles = [[_open(folder) for folder in folders] for _, folders in parsed]
    _check_distinct([bundle for some in bundles for bundle in some])
    groups: list[_Group] = []
    for (name, _), some in zip(parsed, bundles, strict=True):
        if name is not None:
            groups.append(_Group(name, None, some))
        else:
            _add(groups, some[0])
    return _named(groups)


def seeds(bundle: Bundle) -> Seeds:
    """The seeds that a bundle was trained with, as far as its manifest records them."""
    return tuple(
        options["seed"] for options in _steps(bundle) if isinstance(options.get("seed"), int)
    )


@dataclass(slots=True)
class _Group:
    """Bundles that become a system."""

    name: str | None
    """As given; None: it is made of the folders' names."""
    configuration: str | None
    """None: no further bundle belongs here."""
    bundles: list[Bundle] = field(default_factory=list)


def _parse(argument: str) -> tuple[str | None, list[Path]]:
    folder = expanded(argument)
    if "=" not in argument or folder.exists():
        return None, [folder]
    name, _, rest = argument.partition("=")
    whole = expanded(rest)
    folders = [whole] if whole.exists() else [expanded(part) for part in rest.split(",") if part]
    if not name or not rest or not folders:
        raise UsageError(f"{argument!r} names no bundles.", "Write NAME=BUNDLE,BUNDLE.")
    return name, folders


def _open(folder: Path) -> Bundle:
    bundle = Bundle.open(folder)
    bundle.verify()
    return bundle


def _check_distinct(bundles: Iterable[Bundle]) -> None:
    found: dict[str, Bundle] = {}
    for bundle in bundles:
        same = found.setdefault(bundle.model_id, bundle)
        if same is not bundle:
            raise UsageError(
                f"{same.folder} and {bundle.folder} are the same model, {bundle.model_id}.",
                "Name each model once.",
            )


def _add(groups: list[_Group], bundle: Bundle) -> None:
    """Add a bundle to the first group of its configuration without its seeds, or to a new one."""
    configuration, own = _configuration(bundle), seeds(bundle)
    for group in groups if configuration and own else ():
        if group.configuration == configuration and own not in map(seeds, group.bundles):
            group.bundles.append(bundle)
            return
    groups.append(_Group(None, configuration, [bundle]))


def _configuration(bundle: Bundle) -> str | None:
    """What a bundle was trained with apart from the seeds, as text; None if it is not recorded."""
    steps = [
        {name: value for name, value in options.items() if name not in _OWN}
        for options in _steps(bundle)
    ]
    if not steps:
        return None
    training = bundle.manifest["training"]
    decoders = [
        {name: value for name, value in decoder.items() if name != "file"}
        for decoder in bundle.manifest["decoders"]
    ]
    data = [training.get(name) for name in _RECORDED]
    return json.dumps([steps, data, decoders], sort_keys=True)


def _steps(bundle: Bundle) -> list[Mapping[str, Any]]:
    """The options of each step of a bundle's training."""
    training = bundle.manifest.get("training", {})
    records = [training, *(training[key] for key in training if key.startswith(_SELF_CRITICAL))]
    return [record["options"] for record in records if isinstance(record.get("options"), dict)]


def _named(groups: Sequence[_Group]) -> list[System]:
    """Name each group as given, or as its folders are called.

    Raises
    ------
    UsageError
        If two have one name.
    """
    of_bundles = iter(distinct_names([b.folder for group in groups for b in group.bundles]))
    systems: dict[str, System] = {}
    given = {group.name for group in groups}
    for group in groups:
        folders = [next(of_bundles) for _ in group.bundles]
        name = group.name or _common_name(folders)
        if group.name is None and (name in systems or name in given):
            name = ", ".join(folders)
        if name in systems:
            raise UsageError(
                f"two systems are called {name}.",
                "Give each a name of its own: NAME=BUNDLE,BUNDLE.",
            )
        systems[name] = System(name, tuple(group.bundles))
    return list(systems.values())


def _common_name(folders: Sequence[str]) -> str:
    """What folders are called but for their numbers: "merge" for merge-seed1 and merge-seed2."""
    if len(folders) == 1:
        return folders[0]
    numbered = [_NUMBERED.fullmatch(folder) for folder in folders]
    names = {match[1] if match else folder for match, folder in zip(numbered, folders, strict=True)}
    return names.pop() if len(names) == 1 else ", ".join(folders)
