"""The keys that vouch for a bundle: one ed25519 key a role, PEM files of mode 0600, made on first use.

They stay in a directory of the workstation. The signed root lies beside them, so that every bundle
made with these keys starts from the same one.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Dict

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

# Both packages name their exports in ways that a type checker does not follow.
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]
from tuf.api.metadata import Metadata, Root  # type: ignore[attr-defined]

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.errors import InputError

ROLES = ("root", "targets", "snapshot", "timestamp")
# The root outlives every bundle: a device refuses updates once it has expired.
ROOT_LIFETIME = timedelta(days=3650)


class Keys:
    """One signer a role and `root_json`, the signed root metadata that devices pin."""

    def __init__(self, signers: Dict[str, CryptoSigner], root_json: bytes) -> None:
        self.root_json = root_json
        self._signers = signers

    def sign(self, role: str, metadata: Metadata[Any]) -> bytes:
        """Sign `metadata` with the key of `role`; returns the file's content."""
        metadata.sign(self._signers[role])
        return metadata.to_bytes()


def open_keys(directory: Path, output: Path) -> Keys:
    """The keys in `directory` for the bundle in `output`; made where neither has any yet.

    Raises InputError for keys that lie in the bundle, are incomplete, unreadable or readable by
    others, or are not those of the bundle's root.
    """
    if output.resolve() in (directory.resolve(), *directory.resolve().parents):
        raise InputError(f"{directory}: keys must not lie in the bundle {output}; name another directory.")
    existing = output / "metadata" / "1.root.json"
    missing = [role for role in ROLES if not (directory / f"{role}.pem").is_file()]
    if missing and (existing.is_file() or len(missing) < len(ROLES)):
        raise InputError(
            f"{directory}: the key {missing[0]}.pem is missing; restore the keys this bundle was made with "
            "from your backup, or build with new keys in an empty directory and provision the devices again."
        )
    for role in missing:
        _make(directory / f"{role}.pem")
    signers = {role: _load(directory / f"{role}.pem") for role in ROLES}
    if existing.is_file():
        data = existing.read_bytes()
        if json.loads(data)["signed"]["roles"] != _roles(signers):
            raise InputError(
                f"{existing}: this bundle was signed with other keys than those in {directory}; "
                "name their directory, or build in an empty one."
            )
    elif not (directory / "root.json").is_file():
        data = _root(signers)
        write_atomic(directory / "root.json", data)
    else:
        data = (directory / "root.json").read_bytes()
    return Keys(signers, data)


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = Ed25519PrivateKey.generate()
    write_atomic(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)


def _load(path: Path) -> CryptoSigner:
    if path.stat().st_mode & 0o077:
        raise InputError(f"{path}: others may read this key; run `chmod 600 {path}`.")
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, OSError) as error:
        raise InputError(f"{path}: this is no readable key ({error}); restore it from your backup.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path}: this is no ed25519 key; restore the one the bundle was made with.")
    return CryptoSigner(key)


def _roles(signers: Dict[str, CryptoSigner]) -> Dict[str, Dict[str, object]]:
    return {r: {"keyids": [s.public_key.keyid], "threshold": 1} for r, s in signers.items()}


def _root(signers: Dict[str, CryptoSigner]) -> bytes:
    expires = datetime.now(timezone.utc).replace(microsecond=0) + ROOT_LIFETIME
    root = Root(version=1, expires=expires, consistent_snapshot=True)
    for role, signer in signers.items():
        root.add_key(signer.public_key, role)
    metadata = Metadata(root)
    metadata.sign(signers["root"])
    return metadata.to_bytes()
