"""Make a generation's directory. Its manifest comes last; without one it is half-made and goes."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, Optional

from edgeai_runtime.convert import serving_threads
from edgeai_runtime.durable import fsync_directory, write_atomic, writing
from edgeai_runtime.errors import EdgeAIError, InputError
from edgeai_runtime.generations.manifest import Manifest, ModelEntry, load_manifest, manifest_file
from edgeai_runtime.generations.state import read_state
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Release
from edgeai_runtime.settings import Device
from edgeai_runtime.system_versions import system_versions
from edgeai_runtime.trust.store import blob_path

MODEL_FILE = "model.onnx"
LABELS_FILE = "labels.txt"
RELEASE_FILE = "release.json"
CONFIG_FILE = "runtime.toml"


@dataclass(frozen=True)
class Placed:
    """A model with its place in a generation: what the manifest says of it, and its release."""

    entry: ModelEntry
    release: Release


@dataclass(frozen=True)
class Composed:
    """A generation that is whole; `made` is False when one with equal content was there before."""

    manifest: Manifest
    made: bool


def placed_models(paths: Paths, manifest: Manifest) -> Dict[str, Placed]:
    """The models of a generation that is there. Raises InputError when it is damaged."""
    placed = {}
    for name, entry in manifest.models.items():
        path = paths.generation(manifest.generation) / "models" / name / RELEASE_FILE
        try:
            placed[name] = Placed(entry, Release.from_json(path.read_bytes(), str(path)))
        except OSError as error:
            raise InputError(
                f"{path}: the release cannot be read ({error.strerror}); provision the device again."
            ) from None
    return placed


def draft(
    paths: Paths, device: Device, environment: str, models: Mapping[str, Placed], parent: Optional[int]
) -> Manifest:
    """The manifest the next generation would have; nothing is written."""
    return Manifest(
        generation=_next_number(paths),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        environment=environment,
        parent=parent,
        models={name: placed.entry for name, placed in sorted(models.items())},
        config=hashlib.sha256(_config(device, models)).hexdigest(),
        platform=system_versions(),
    )


def compose(paths: Paths, device: Device, wanted: Manifest, models: Mapping[str, Placed]) -> Composed:
    """Make the generation `wanted`, or find the one that has its content. Under the device's lock only.

    Raises InputError when a blob it needs is not in the store, StorageError.
    """
    remove_half_made(paths)
    for number in reversed(whole_generations(paths)):
        there = load_manifest(paths, number)
        if there.content == wanted.content:
            return Composed(there, made=False)
    directory = paths.generation(wanted.generation)
    try:
        with writing(directory):
            for name, placed in models.items():
                _write_model(paths, directory / "models" / name, placed)
            write_atomic(directory / CONFIG_FILE, _config(device, models))
            for path in (directory / "models", directory, paths.generations):
                if path.is_dir():
                    fsync_directory(path)
            write_atomic(manifest_file(directory), wanted.to_json())
    except EdgeAIError:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return Composed(wanted, made=True)


def discard(paths: Paths, generation: int) -> None:
    """Remove a generation that nothing switches to any more, its manifest first."""
    directory = paths.generation(generation)
    manifest_file(directory).unlink()
    fsync_directory(directory)
    shutil.rmtree(directory)


def remove_half_made(paths: Paths) -> None:
    """Remove what a power cut left behind."""
    for directory in _directories(paths):
        if not manifest_file(directory).is_file():
            shutil.rmtree(directory)


def _write_model(paths: Paths, directory: Path, placed: Placed) -> None:
    directory.mkdir(parents=True)
    write_atomic(directory / RELEASE_FILE, placed.release.to_json())
    _link(paths, directory / MODEL_FILE, placed.entry.artifact)
    if placed.release.labels:
        _link(paths, directory / LABELS_FILE, placed.release.labels.sha256)
    fsync_directory(directory)


def _link(paths: Paths, link: Path, sha256: str) -> None:
    """Link to a blob, relatively: a device's root may be moved as a whole."""
    blob = blob_path(paths, sha256)
    if not blob.is_file():
        raise InputError(f"{blob}: {link.name} is not in the store; fetch and convert the release again.")
    link.symlink_to(os.path.relpath(str(blob), str(link.parent)))


def _config(device: Device, models: Mapping[str, Placed]) -> bytes:
    """runtime.toml: what serving needs to know besides the releases."""
    lines: List[str] = ["schema = 1\n"]
    for name, placed in sorted(models.items()):
        recipe = placed.release.recipe_for(device.device_class)
        lines += [f"\n[models.{name}]\n", f"threads = {serving_threads(recipe, device)}\n"]
    return "".join(lines).encode()


def _next_number(paths: Paths) -> int:
    state = read_state(paths)
    used = [*whole_generations(paths), *(entry["generation"] for entry in state.history)]
    highest: int = max([0, *used])
    return highest + 1


def whole_generations(paths: Paths) -> List[int]:
    """The numbers of the generations that are whole, in order."""
    return sorted(int(d.name) for d in _directories(paths) if manifest_file(d).is_file())


def _directories(paths: Paths) -> Iterator[Path]:
    if paths.generations.is_dir():
        for directory in paths.generations.iterdir():
            if directory.name.isdigit():
                yield directory
