"""What this device verified before and remembers, read without python-tuf (`status` stays light)."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, Optional

from edgeai_runtime.paths import Paths

ROLES = ("root", "targets", "snapshot", "timestamp")


def memory_of(cache: Path, pinned_root: bytes) -> Path:
    """Where the metadata lies that was accepted from one pinned root on."""
    return cache / hashlib.sha256(pinned_root).hexdigest()


def remembered(paths: Paths, role: str) -> Dict[str, Any]:
    """The signed part of a role's newest metadata, empty where none was seen yet."""
    try:
        memory = memory_of(paths.trust, paths.root_json.read_bytes())
        signed: Dict[str, Any] = json.loads((memory / f"{role}.json").read_bytes())["signed"]
        _time(signed["expires"])
        int(signed["version"])
        return signed
    except (OSError, ValueError, KeyError, TypeError):  # none yet, or damaged
        return {}


def expired_since(paths: Paths, now: datetime) -> Optional[datetime]:
    """When the first of what was remembered expired, None while all of it is good."""
    ends = [_time(signed["expires"]) for signed in (remembered(paths, role) for role in ROLES) if signed]
    first = min(ends, default=now)
    return first if first < now else None


def _time(text: str) -> datetime:
    """A time as TUF writes it, 2026-11-25T12:00:00Z."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
