"""Free space, asked for before the first byte is fetched instead of found missing after the last."""

from __future__ import annotations

import shutil
from typing import Iterable

from edgeai_runtime.errors import TransferError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Blob
from edgeai_runtime.trust.store import partial_path


def need_space(paths: Paths, what: str, missing: Iterable[Blob], work: int, purpose: str) -> None:
    """Refuse `what` when there is no room for the missing blobs and for the `work` bytes that it takes then.

    Raises TransferError, which says that these are needed `purpose`.
    """
    to_fetch = sum(max(0, blob.size - _begun(paths, blob)) for blob in missing)
    there = next(path for path in (paths.store, *paths.store.parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    if to_fetch + work > free:
        raise TransferError(
            f"{there}: {what} needs {_mb(to_fetch + work)} ({_mb(to_fetch)} to fetch, "
            f"{_mb(work)} {purpose}) and {_mb(free)} are free; "
            "make room, then run the command again."
        )


def _begun(paths: Paths, blob: Blob) -> int:
    partial = partial_path(paths, blob.sha256)
    return partial.stat().st_size if partial.is_file() else 0


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
