"""Free space, asked for before the first byte is fetched instead of found missing after the last."""

from __future__ import annotations

import shutil
from typing import Iterable

from edgeai_runtime.errors import TransferError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Blob, Release
from edgeai_runtime.trust.store import partial_path

# The model prepared, pruned, as the quantizer's own copy, and converted; see `convert`.
CONVERSION_COPIES = 4


def need_space(paths: Paths, release: Release, missing: Iterable[Blob]) -> None:
    """Refuse a release for which there is no room, fetched and then converted; raises TransferError."""
    to_fetch = sum(max(0, blob.size - _begun(paths, blob)) for blob in missing)
    to_convert = CONVERSION_COPIES * release.model_size
    there = next(path for path in (paths.store, *paths.store.parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    if to_fetch + to_convert > free:
        raise TransferError(
            f"{there}: {release.name} {release.version} needs {_mb(to_fetch + to_convert)} "
            f"({_mb(to_fetch)} to fetch, {_mb(to_convert)} to convert it) and {_mb(free)} are free; "
            "make room, then run the command again."
        )


def _begun(paths: Paths, blob: Blob) -> int:
    partial = partial_path(paths, blob.sha256)
    return partial.stat().st_size if partial.is_file() else 0


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
