"""Strict keys: an unknown key is an error that names the nearest known one."""

from __future__ import annotations

import difflib
from typing import Any, Collection, Iterable, Mapping, Optional

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
            raise InputError(f"{origin}: unknown key '{key}'; {hint(key, known)}")
    for key in required:
        if key not in mapping:
            raise InputError(f"{origin}: the key '{key}' is missing; add it.")


def nearest(name: str, known: Iterable[str]) -> Optional[str]:
    """What may have been meant by `name`, None where nothing is near."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def hint(name: str, known: Collection[str], there: str = "known are") -> str:
    """The end of a sentence that refuses `name`: the nearest that is known, else all of them."""
    near = nearest(name, known)
    return f"did you mean '{near}'?" if near else f"{there}: {', '.join(sorted(known))}."
