"""The order of versions, https://semver.org/#spec-item-11."""

from __future__ import annotations

from typing import Tuple

Key = Tuple[Tuple[int, ...], bool, Tuple[Tuple[bool, int, str], ...]]


def version_key(version: str) -> Key:
    """What versions are sorted by: 1.0.0-rc.2 comes before 1.0.0; what follows a "+" does not count."""
    core, _hyphen, before = version.partition("+")[0].partition("-")
    identifiers = tuple(
        (False, int(part), "") if part.isdigit() else (True, 0, part) for part in before.split(".") if part
    )
    return tuple(map(int, core.split("."))), not before, identifiers
