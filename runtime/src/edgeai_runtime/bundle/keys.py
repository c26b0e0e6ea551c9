"""Signing keys: ed25519, as PEM files of mode 0600, encrypted where a passphrase is given.

They stay in a directory of the workstation, or of whoever else signs. NAME.pem is the key, NAME.pub its
public half, which is all that others need to admit it. Which role a key signs for says the root (see
trust_root.py), not its name.
"""

from __future__ import annotations

import getpass
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

# The package names its exports in a way that a type checker does not follow.
from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.errors import InputError

VARIABLE = "EDGEAI_PASSPHRASE"
# In the root beside the key, so that whoever misses a signature can say whose.
NAME_FIELD = "x-name"
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")


class Passphrase:
    """Where the passphrase comes from: a file, else EDGEAI_PASSPHRASE, else the terminal when it is asked."""

    def __init__(self, file: Optional[Path] = None) -> None:
        self._file = file

    def for_new(self) -> Optional[bytes]:
        """What a new key is encrypted with, None for not at all; raises InputError."""
        if self._file is None:
            return os.environ.get(VARIABLE, "").encode() or None
        try:
            passphrase = self._file.read_bytes().rstrip(b"\r\n")
        except OSError as error:
            raise InputError(
                f"{self._file}: the passphrase cannot be read ({error.strerror}); name a file that has it "
                "in its first line."
            ) from None
        if not passphrase or b"\n" in passphrase:
            raise InputError(f"{self._file}: expected is one line, the passphrase; correct the file.")
        return passphrase

    def of(self, key: Path) -> bytes:
        """What an existing key was encrypted with; raises InputError."""
        given = self.for_new()
        if given is None and sys.stdin.isatty():
            given = getpass.getpass(f"Passphrase of {key}: ").encode()
        if not given:
            raise InputError(
                f"{key}: this key is encrypted; give its passphrase in a file (--passphrase-file), in the "
                f"variable {VARIABLE} or at a terminal."
            )
        return given


@dataclass(frozen=True)
class KeyResult:
    """Paths of the two halves, and the id that the root knows the key by."""

    key: str
    public: str
    keyid: str
    encrypted: bool
    changed: bool
    actions: List[str]


def new_key(directory: Path, name: str, passphrase: Passphrase, check: bool = False) -> KeyResult:
    """Make the key `name` where there is none; an existing one is left as it is. Raises InputError."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"'{name}' is no name for a key; expected are small letters, digits, dots and dashes, "
            "such as root-alice."
        )
    path = directory / f"{name}.pem"
    if path.is_file():
        return KeyResult(
            str(path), str(_public_path(path)), public_key(path).keyid, _is_encrypted(path), False, []
        )
    secret = passphrase.for_new()
    keyid = "" if check else make_key(path, secret).keyid
    said = f"{'would make' if check else 'made'} the {'encrypted ' if secret else ''}key {path}"
    return KeyResult(str(path), str(_public_path(path)), keyid, secret is not None, True, [said])


def make_key(path: Path, passphrase: Optional[bytes]) -> SSlibKey:
    """Write a new key and its public half; returns the latter."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    # The public half first: a key counts once NAME.pem is there.
    write_atomic(_public_path(path), pem)
    write_atomic(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption), mode=0o600)
    return public_key(path)


def public_key(path: Path) -> SSlibKey:
    """The public half of NAME.pem or NAME.pub, with its name. Raises InputError."""
    public = _public_path(path)
    if public.is_file():
        try:
            key = load_pem_public_key(public.read_bytes())
        except (ValueError, TypeError, OSError) as error:
            raise InputError(f"{public}: this is no readable public key ({error}); restore it.") from None
    else:  # a key made before public halves were kept
        key = _load(path.with_suffix(".pem"), Passphrase()).public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{public}: this is no ed25519 key; make one with `edgeai key new`.")
    found = SSlibKey.from_crypto(key)
    found.unrecognized_fields[NAME_FIELD] = path.stem
    return found


def named_key(directory: Path, name: str) -> SSlibKey:
    """The public half of the key `name` in `directory`, or of a file elsewhere. Raises InputError."""
    path = Path(name).expanduser() if "/" in name else directory / f"{name}.pub"
    if not path.is_file() and not path.with_suffix(".pem").is_file():
        raise InputError(
            f"{path}: there is no such key; make it with `edgeai key new`, or bring its owner's .pub file."
        )
    return public_key(path)


def keys_in(directory: Path) -> Dict[str, Path]:
    """The keys that can sign, by their ids."""
    return {public_key(path).keyid: path for path in sorted(directory.glob("*.pem"))}


def load_signer(path: Path, keyid: str, passphrase: Passphrase) -> CryptoSigner:
    """What signs with the key in `path`; raises InputError, also when it is not the one expected."""
    signer = CryptoSigner(_load(path, passphrase))
    if signer.public_key.keyid != keyid:
        raise InputError(
            f"{path}: {_public_path(path).name} belongs to another key; restore both from your backup."
        )
    return signer


def _public_path(path: Path) -> Path:
    return path.with_suffix(".pub")


def _is_encrypted(path: Path) -> bool:
    return b"BEGIN ENCRYPTED" in path.read_bytes()


def _load(path: Path, passphrase: Passphrase) -> Ed25519PrivateKey:
    try:
        if path.stat().st_mode & 0o077:
            raise InputError(f"{path}: others may read this key; run `chmod 600 {path}`.")
        encrypted = _is_encrypted(path)
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: this key cannot be read ({error.strerror}); restore it.") from None
    secret = passphrase.of(path) if encrypted else None
    try:
        key = load_pem_private_key(data, secret)
    except (ValueError, TypeError) as error:
        if encrypted:
            raise InputError(f"{path}: the passphrase is not that of this key; give the right one.") from None
        raise InputError(f"{path}: this is no readable key ({error}); restore it from your backup.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path}: this is no ed25519 key; restore the one the bundle was made with.")
    return key
