"""Digests of files."""

from __future__ import annotations

import hashlib
from pathlib import Path


def blob_place(sha256: str) -> str:
    """Where a blob lies below a directory of blobs, in a store, a bundle and a depot alike."""
    return f"{sha256[:2]}/{sha256}"


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content in lower-case hex, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()
