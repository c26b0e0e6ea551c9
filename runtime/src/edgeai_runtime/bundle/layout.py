"""A bundle's directory: where its files lie, written so that it is at any instant the old or the new one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Dict, Mapping

from edgeai_runtime.bundle.signing import current_version
from edgeai_runtime.durable import fsync_directory, write_atomic
from edgeai_runtime.errors import InputError
from edgeai_runtime.release import Content, Part, content_pieces, content_size
from edgeai_runtime.trust.store import blob_name


def target_path(output: Path, name: str, data: bytes) -> Path:
    """Where the content of a TUF target lies (consistent snapshots put its digest before its name)."""
    directory, _slash, leaf = name.rpartition("/")
    return output / "targets" / directory / f"{hashlib.sha256(data).hexdigest()}.{leaf}"


def is_whole(output: Path, targets: Mapping[str, bytes], blobs: Mapping[str, Content]) -> bool:
    """Whether every file is in place with its right size."""
    wanted = {target_path(output, name, data): len(data) for name, data in targets.items()}
    wanted.update({output / blob_name(sha): content_size(content) for sha, content in blobs.items()})
    wanted.update({output / blob_name(sha): len(data) for sha, data in _locks(targets).items()})
    return all(path.is_file() and path.stat().st_size == size for path, size in wanted.items())


def place(output: Path, targets: Mapping[str, bytes], blobs: Mapping[str, Content]) -> None:
    """Write what is not there yet; `blobs` says where the content of each sha256 lies.

    Raises InputError when a source is not what it was a moment ago.
    """
    for sha256, content in blobs.items():
        _copy(output / blob_name(sha256), content, sha256)
    for sha256, data in _locks(targets).items():
        write_atomic(output / blob_name(sha256), data)
    for name, data in targets.items():
        write_atomic(target_path(output, name, data), data)


def sweep(output: Path, targets: Mapping[str, bytes], blobs: Mapping[str, Content]) -> None:
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
    locks = [data for name, data in targets.items() if name.startswith(("locks/", "debian/"))]
    return {hashlib.sha256(data).hexdigest(): data for data in locks}


def _copy(path: Path, content: Content, sha256: str) -> None:
    if path.is_file() and path.stat().st_size == content_size(content):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}")
    digest = hashlib.sha256()
    with open(beside, "wb") as writing:
        for piece in content_pieces(content):
            digest.update(piece)
            writing.write(piece)
        writing.flush()
        os.fsync(writing.fileno())
    if digest.hexdigest() != sha256:
        beside.unlink()
        raise InputError(
            f"{_origin(content)}: the file changed while the bundle was built; run the command again."
        )
    beside.replace(path)
    fsync_directory(path.parent)


def _origin(content: Content) -> str:
    """The file that a content comes from, in words."""
    if isinstance(content, bytes):
        return "a model's graph"
    return str(content.path if isinstance(content, Part) else content)
