"""A bundle's directory: where its files lie, written so that it is at any instant the old or the new one."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Dict, Mapping

from edgeai_runtime.bundle.signing import current_version
from edgeai_runtime.durable import fsync_directory, write_atomic
from edgeai_runtime.errors import InputError
from edgeai_runtime.release import file_sha256
from edgeai_runtime.trust.store import blob_name


def target_path(output: Path, name: str, data: bytes) -> Path:
    """Where the content of a TUF target lies (consistent snapshots put its digest before its name)."""
    directory, _slash, leaf = name.rpartition("/")
    return output / "targets" / directory / f"{hashlib.sha256(data).hexdigest()}.{leaf}"


def is_whole(output: Path, targets: Mapping[str, bytes], blobs: Mapping[str, Path]) -> bool:
    """Whether every file is in place with its right size."""
    wanted = {target_path(output, name, data): len(data) for name, data in targets.items()}
    wanted.update({output / blob_name(sha): source.stat().st_size for sha, source in blobs.items()})
    wanted.update({output / blob_name(sha): len(data) for sha, data in _locks(targets).items()})
    return all(path.is_file() and path.stat().st_size == size for path, size in wanted.items())


def place(output: Path, targets: Mapping[str, bytes], blobs: Mapping[str, Path]) -> None:
    """Write what is not there yet; `blobs` says where the content of each sha256 lies.

    Raises InputError when a source is not what it was a moment ago.
    """
    for sha256, source in blobs.items():
        _copy(output / blob_name(sha256), source, sha256)
    for sha256, data in _locks(targets).items():
        write_atomic(output / blob_name(sha256), data)
    for name, data in targets.items():
        write_atomic(target_path(output, name, data), data)


def sweep(output: Path, targets: Mapping[str, bytes], blobs: Mapping[str, Path]) -> None:
    """Remove what the newest metadata no longer names."""
    kept = {target_path(output, name, data) for name, data in targets.items()}
    kept.update(output / blob_name(sha256) for sha256 in (*blobs, *_locks(targets)))
    version = current_version(output / "metadata")
    kept.update(output / "metadata" / f"{version}.{role}.json" for role in ("snapshot", "targets"))
    old = [*(output / "blobs").rglob("*"), *(output / "targets").rglob("*")]
    for role in ("snapshot", "targets"):
        old += (output / "metadata").glob(f"*.{role}.json")
    for path in old:
        if path.is_file() and path not in kept:
            path.unlink()


def _locks(targets: Mapping[str, bytes]) -> Dict[str, bytes]:
    """The locks as blobs too: a device in bootstrap has no TUF client, it takes its lock by digest."""
    locks = [data for name, data in targets.items() if name.startswith("locks/")]
    return {hashlib.sha256(data).hexdigest(): data for data in locks}


def _copy(path: Path, source: Path, sha256: str) -> None:
    if path.is_file() and path.stat().st_size == source.stat().st_size:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}")
    with open(source, "rb") as reading, open(beside, "wb") as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)
        writing.flush()
        os.fsync(writing.fileno())
    if file_sha256(beside) != sha256:
        beside.unlink()
        raise InputError(f"{source}: the file changed while the bundle was built; run the command again.")
    beside.replace(path)
    fsync_directory(path.parent)
