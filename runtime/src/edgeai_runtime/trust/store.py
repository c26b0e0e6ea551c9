"""The device's store: blobs by the sha256 of their content, fetched from a depot when missing."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Iterable, Iterator, List

from edgeai_runtime.errors import TrustError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Blob, blob_place, file_sha256
from edgeai_runtime.trust import transfer


def blobs_directory(paths: Paths) -> Path:
    """Where the blobs lie: what a model's graph calls the place of a tensor is below it."""
    return paths.store / "sha256"


def blob_name(sha256: str) -> str:
    """Where a blob lies below a bundle's or depot's root."""
    return f"blobs/sha256/{blob_place(sha256)}"


def blob_url(depot_url: str, sha256: str) -> str:
    """Where a depot serves a blob."""
    return f"{depot_url.rstrip('/')}/{blob_name(sha256)}"


def blob_path(paths: Paths, sha256: str) -> Path:
    """Where a blob lies, or would lie, in the device's store."""
    return blobs_directory(paths) / blob_place(sha256)


def stored_blobs(paths: Paths) -> Iterator[Path]:
    """Every blob in the store by its digest, and every download that broke off."""
    yield from (paths.store / "sha256").glob("*/*")
    yield from (paths.store / "partial").glob("*")


def has_blob(paths: Paths, sha256: str, size: int) -> bool:
    """Whether the blob is there whole: a file gets its name only after its digest was checked."""
    path = blob_path(paths, sha256)
    return path.is_file() and path.stat().st_size == size


def is_intact(paths: Paths, sha256: str, size: int) -> bool:
    """Whether the blob is there and is still what was proved: reads all of it."""
    return has_blob(paths, sha256, size) and file_sha256(blob_path(paths, sha256)) == sha256


def not_intact(paths: Paths, blobs: Iterable[Blob]) -> List[Blob]:
    """Those that have to be fetched: missing or damaged."""
    return [blob for blob in blobs if not is_intact(paths, blob.sha256, blob.size)]


def partial_path(paths: Paths, sha256: str) -> Path:
    """Where what came of a blob lies until it is whole."""
    return paths.store / "partial" / sha256


def fetch_blob(
    paths: Paths,
    depot_url: str,
    sha256: str,
    size: int,
    received: transfer.Received = lambda count: None,
) -> int:
    """Make sure the blob is in the store; returns the bytes that had to be transferred, 0 if it was there.

    Raises TransferError and TrustError.
    """
    if has_blob(paths, sha256, size):
        return 0
    return transfer.fetch(
        blob_url(depot_url, sha256),
        partial_path(paths, sha256),
        blob_path(paths, sha256),
        sha256,
        size,
        received,
    )


def read_blob(depot_url: str, sha256: str, limit: int) -> bytes:
    """A small blob's content, read and not kept: a lock, whose digest the caller got from who verified it.

    Raises TransferError and TrustError.
    """
    url = blob_url(depot_url, sha256)
    data = transfer.read(url, limit)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise TrustError(
            f"{url}: this has other content than was signed; copy the bundle to the depot again."
        )
    return data


def drop_damaged(paths: Paths, sha256: str) -> None:
    """Remove a blob whose content changed since it was proved, so that it is fetched anew."""
    path = blob_path(paths, sha256)
    if path.is_file() and file_sha256(path) != sha256:
        path.unlink()
