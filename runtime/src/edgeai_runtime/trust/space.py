"""Free space, asked for before the first byte is written instead of found missing after the last."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Iterable, Mapping

from edgeai_runtime.errors import StorageError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Blob
from edgeai_runtime.trust.store import partial_path

# The model prepared, pruned, as the quantizer's own copy, and converted; see `convert`.
CONVERSION_COPIES = 4


def need_space(place: Path, what: str, needs: Mapping[str, int]) -> None:
    """Refuse `what` where `place` has no room for it; `needs` says bytes by purpose. Raises StorageError."""
    there = next(path for path in (place, *place.parents) if path.is_dir())
    free, needed = shutil.disk_usage(there).free, sum(needs.values())
    if needed > free:
        purposes = ", ".join(f"{_mb(size)} {purpose}" for purpose, size in needs.items())
        raise StorageError(
            f"{there}: {what} needs {_mb(needed)} ({purposes}) and {_mb(free)} are free; "
            "make room, then run the command again."
        )


def left_to_fetch(paths: Paths, missing: Iterable[Blob]) -> int:
    """The bytes of blobs that are not in the store, without those that an earlier attempt left."""
    return sum(max(0, blob.size - _begun(paths, blob)) for blob in missing)


def _begun(paths: Paths, blob: Blob) -> int:
    partial = partial_path(paths, blob.sha256)
    return partial.stat().st_size if partial.is_file() else 0


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
