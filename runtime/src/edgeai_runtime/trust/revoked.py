"""Releases that were revoked, as the newest bundle this device has seen says, signed."""

from __future__ import annotations

import json
from typing import Dict, Mapping, Optional

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.errors import DamagedError, TrustError
from edgeai_runtime.paths import Paths

TARGET = "revoked.json"  # of a bundle: reasons by version by release; also the name of the copy kept here

NOTHING = b"{}"  # what a bundle without the target says


def keep_revoked(paths: Paths, signed: bytes) -> None:
    """Remember the list of a verified bundle, for commands that need no depot."""
    kept = paths.trust / TARGET
    if (kept.read_bytes() if kept.is_file() else NOTHING) != signed:
        write_atomic(kept, signed)


def why_revoked(paths: Paths, name: str, version: str) -> Optional[str]:
    """The reason, None for a release that was not revoked. Raises DamagedError."""
    kept = paths.trust / TARGET
    try:
        return reason_in(kept.read_bytes(), name, version)
    except OSError:
        return None
    except (ValueError, AttributeError):
        raise DamagedError(
            f"{kept}: this is no list of revoked releases; `edgeai fetch` of any release brings it again."
        ) from None


def reason_in(signed: bytes, name: str, version: str) -> Optional[str]:
    """The reason in a bundle's list."""
    listed: Mapping[str, Dict[str, str]] = json.loads(signed)
    return listed.get(name, {}).get(version)


def refuse_revoked(name: str, version: str, reason: Optional[str]) -> None:
    """Raises TrustError when there is a reason."""
    if reason is not None:
        raise TrustError(f"{name} {version} was revoked ({reason}); choose another version.")
