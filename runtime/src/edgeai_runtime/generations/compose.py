"""Make a generation's directory. Its manifest comes last; without one it is half-made and goes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, Optional

from edgeai_runtime.convert.wanted import most_threads
from edgeai_runtime.durable import fsync_directory, write_atomic, writing
from edgeai_runtime.errors import DamagedError, EdgeAIError, InputError
from edgeai_runtime.generations.manifest import (
    COPY,
    FILE,
    Manifest,
    ModelEntry,
    is_readable,
    is_whole,
    load_manifest,
)
from edgeai_runtime.generations.state import read_state
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Release, file_sha256
from edgeai_runtime.settings import Device
from edgeai_runtime.system_versions import system_versions
from edgeai_runtime.trust.records import release_record
from edgeai_runtime.trust.store import blob_path

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
    """The models of a generation that is there. Raises DamagedError."""
    return {name: Placed(entry, _release(paths, manifest, name)) for name, entry in manifest.models.items()}


def _release(paths: Paths, manifest: Manifest, name: str) -> Release:
    """The release of a model, out of the generation or, where that is damaged, as it was fetched."""
    entry = manifest.models[name]
    path = paths.generation(manifest.generation) / "models" / name / RELEASE_FILE
    for file in (path, release_record(paths, name, entry.version)):
        if file.is_file() and file_sha256(file) == entry.release:
            return Release.from_json(file.read_bytes(), str(file))
    raise DamagedError(
        f"{path}: this is not the release that was tried here; "
        f"fetch it again with `edgeai fetch {name} {entry.version}`."
    )


def generation_files(paths: Paths, manifest: Manifest) -> Dict[Path, str]:
    """The files that a generation is served from, and their sha256."""
    directory = paths.generation(manifest.generation)
    files = {directory / CONFIG_FILE: manifest.config}
    for name, entry in manifest.models.items():
        model = directory / "models" / name
        files[model / RELEASE_FILE] = entry.release
        files.update({model / name: sha256 for name, sha256 in entry.files.items()})
        with contextlib.suppress(DamagedError):
            labels = _release(paths, manifest, name).labels
            if labels:
                files[model / LABELS_FILE] = labels.sha256
    return files


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
            fill(paths, device, there, models)
            return Composed(there, made=False)
    try:
        fill(paths, device, wanted, models)
    except EdgeAIError:
        shutil.rmtree(paths.generation(wanted.generation), ignore_errors=True)
        raise
    return Composed(wanted, made=True)


def fill(paths: Paths, device: Device, manifest: Manifest, models: Mapping[str, Placed]) -> List[str]:
    """Write those files of a generation that are missing or damaged, its manifest last; returns which.

    Under the device's lock only. Raises InputError when a blob it needs is not in the store, StorageError.
    """
    directory = paths.generation(manifest.generation)
    with writing(directory):
        written = [
            f"models/{name}/{file}"
            for name, placed in models.items()
            for file in _fill_model(paths, directory / "models" / name, placed)
        ]
        if _differs(directory / CONFIG_FILE, manifest.config):
            write_atomic(directory / CONFIG_FILE, _config(device, models))
            written.append(CONFIG_FILE)
        for path in (directory / "models", directory, paths.generations):
            if path.is_dir():
                fsync_directory(path)
        for file in (COPY, FILE):
            if not is_readable(directory / file):
                write_atomic(directory / file, manifest.to_json())
                written.append(file)
    return written


def discard(paths: Paths, generation: int) -> None:
    """Remove a generation that nothing switches to any more, its manifest first."""
    directory = paths.generation(generation)
    for file in (COPY, FILE):
        if (directory / file).exists():
            (directory / file).unlink()
    fsync_directory(directory)
    shutil.rmtree(directory)


def remove_half_made(paths: Paths) -> None:
    """Remove what a power cut left behind, and nothing that serves or shall serve again."""
    state = read_state(paths)
    in_use = (state.current, state.confirmed, state.trial)
    for directory in _directories(paths):
        if not is_whole(directory) and int(directory.name) not in in_use:
            shutil.rmtree(directory)


def _fill_model(paths: Paths, directory: Path, placed: Placed) -> Iterator[str]:
    """Write what is missing or damaged; which files that is."""
    directory.mkdir(parents=True, exist_ok=True)
    if _differs(directory / RELEASE_FILE, placed.entry.release):
        write_atomic(directory / RELEASE_FILE, placed.release.to_json())
        yield RELEASE_FILE
    blobs = dict(placed.entry.files)
    if placed.release.labels:
        blobs[LABELS_FILE] = placed.release.labels.sha256
    for name, sha256 in blobs.items():
        if _link(paths, directory / name, sha256):
            yield name
    fsync_directory(directory)


def _differs(path: Path, sha256: str) -> bool:
    return not path.is_file() or file_sha256(path) != sha256


def _link(paths: Paths, link: Path, sha256: str) -> bool:
    """Link to a blob, relatively: a device's root may be moved as a whole. Whether that was to be done."""
    blob = blob_path(paths, sha256)
    if not blob.is_file():
        raise InputError(f"{blob}: {link.name} is not in the store; fetch and convert the release again.")
    target = os.path.relpath(str(blob), str(link.parent))
    if link.is_symlink() and os.readlink(link) == target:
        return False
    if link.is_symlink() or link.exists():
        link.unlink()
    link.symlink_to(target)
    return True


def _config(device: Device, models: Mapping[str, Placed]) -> bytes:
    """runtime.toml: what serving needs to know besides the releases."""
    lines: List[str] = ["schema = 1\n"]
    for name, placed in sorted(models.items()):
        threads = placed.entry.threads or placed.release.recipe_for(device.device_class).threads or 1
        lines += [f"\n[models.{name}]\n", f"threads = {min(threads, most_threads(device))}\n"]
        lines += [f"providers = {json.dumps(device.providers)}\n"]
    return "".join(lines).encode()


def _next_number(paths: Paths) -> int:
    state = read_state(paths)
    used = [*whole_generations(paths), *(entry["generation"] for entry in state.history)]
    highest: int = max([0, *used])
    return highest + 1


def whole_generations(paths: Paths) -> List[int]:
    """The numbers of the generations that are whole, in order."""
    return sorted(int(d.name) for d in _directories(paths) if is_whole(d))


def _directories(paths: Paths) -> Iterator[Path]:
    if paths.generations.is_dir():
        for directory in paths.generations.iterdir():
            if directory.name.isdigit():
                yield directory
