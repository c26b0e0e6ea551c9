"""Releases that must not run any more: a list beside the keys that every bundle carries, signed.

Devices refuse what is in it by name and with the reason. It is never taken back: a version is content
that never changes, and what is good again gets a new one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Sequence

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.errors import InputError

# Reasons by version by name.
Revoked = Dict[str, Dict[str, str]]


@dataclass(frozen=True)
class RevocationResult:
    """`path` is the list; it reaches the devices with the next bundle."""

    path: str
    changed: bool
    actions: List[str]


def revoke(keys_dir: Path, name: str, version: str, reason: str, check: bool = False) -> RevocationResult:
    """Revoke a release for `reason`, a sentence that the devices will tell. Raises InputError."""
    if not reason.strip() or "\n" in reason or len(reason) > 500:
        raise InputError(
            "A revocation wants its reason in one line of up to 500 characters; devices will tell it."
        )
    path = keys_dir / "revoked.json"
    revoked = read_revoked(keys_dir)
    versions = revoked.setdefault(name, {})
    if versions.get(version) == reason:
        return RevocationResult(str(path), False, [])
    versions[version] = reason
    if not check:
        write_atomic(path, json.dumps(revoked, indent=2, sort_keys=True).encode() + b"\n")
    said = f"{'would revoke' if check else 'revoked'} {name} {version}: {reason}"
    return RevocationResult(str(path), True, [said])


def read_revoked(keys_dir: Path) -> Revoked:
    """The list, empty where nothing was revoked; raises InputError."""
    path = keys_dir / "revoked.json"
    if not path.is_file():
        return {}
    try:
        found: Revoked = {
            str(name): {str(version): str(reason) for version, reason in versions.items()}
            for name, versions in json.loads(path.read_bytes()).items()
        }
    except (ValueError, AttributeError):
        raise InputError(
            f"{path}: this is no list of revoked releases; restore it from your backup."
        ) from None
    return found


def refuse_revoked(revoked: Revoked, releases: Mapping[str, Sequence[str]]) -> None:
    """Raises InputError when one of the `releases` (name -> versions) was revoked."""
    for name, versions in releases.items():
        for version in versions:
            reason = revoked.get(name, {}).get(version)
            if reason is not None:
                raise InputError(
                    f"{name} {version} was revoked ({reason}); take it out of the bundle's releases."
                )
