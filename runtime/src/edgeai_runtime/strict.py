"""Strict keys: an unknown key is an error that names the nearest known one."""

from __future__ import annotations

import difflib
from typing import Any, Collection, Mapping

from edgeai_runtime.errors import InputError


def check_keys(
    mapping: Mapping[str, Any],
    required: Collection[str] = (),
    optional: Collection[str] = (),
    origin: str = "",
) -> None:
    """Refuse unknown and missing keys of `mapping`.

    `origin` says where it was read, e.g. "release.toml, [gates]".
    Raises InputError.
    """
    known = [*required, *optional]
    for key in mapping:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are: {', '.join(sorted(known))}."
            raise InputError(f"{origin}: unknown key '{key}'; {hint}")
    for key in required:
        if key not in mapping:
            raise InputError(f"{origin}: the key '{key}' is missing; add it.")
