"""Any TUF repository through the device's own client: what a suite for TUF clients asks of one.

The metadata that is trusted lies in one directory as root.json, timestamp.json and so on, the interface
of github.com/theupdateframework/tuf-conformance.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.errors import InputError
from edgeai_runtime.trust.client import open_repository


def init(metadata_dir: Path, root_json: Path) -> Dict[str, Any]:
    """Trust what `root_json` vouches for; nothing is asked of the repository. Raises InputError."""
    try:
        write_atomic(metadata_dir / "root.json", root_json.read_bytes())
    except OSError as error:
        raise InputError(
            f"{root_json}: cannot be copied to {metadata_dir} ({error.strerror}); correct the paths."
        ) from None
    return {"changed": True, "actions": [f"{metadata_dir} trusts {root_json}"]}


def refresh(metadata_dir: Path, metadata_url: str) -> Dict[str, Any]:
    """Bring the metadata up to date. Raises InputError, TrustError, TransferError."""
    with open_repository(metadata_url, (metadata_url, metadata_url), _trusted(metadata_dir), metadata_dir):
        return {"actions": [f"{metadata_dir} is up to date with {metadata_url}"]}


def download(
    metadata_dir: Path, metadata_url: str, target_name: str, target_base_url: str, target_dir: Path
) -> Dict[str, Any]:
    """Refresh, then bring a target to `target_dir`. Raises InputError, TrustError, TransferError."""
    urls = (metadata_url, target_base_url)
    with open_repository(metadata_url, urls, _trusted(metadata_dir), metadata_dir) as repository:
        try:
            changed = repository.download(target_name, target_dir)
        except OSError as error:
            raise InputError(f"{target_dir}: cannot be written ({error.strerror}); correct it.") from None
    return {"changed": changed, "actions": [f"{target_name} is in {target_dir}"]}


def _trusted(metadata_dir: Path) -> bytes:
    try:
        return (metadata_dir / "root.json").read_bytes()
    except OSError:
        raise InputError(f"{metadata_dir}: there is no root.json; run `edgeai trust … init` first.") from None
