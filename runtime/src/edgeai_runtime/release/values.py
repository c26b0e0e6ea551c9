"""Values that tables of releases and of bundles share."""

from __future__ import annotations

import re
from typing import Any, Mapping

from edgeai_runtime.errors import InputError

SCHEMA = 1

_SHA256 = re.compile(r"[0-9a-f]{64}")


def sha256_of(table: Mapping[str, Any], origin: str) -> str:
    """`table["sha256"]`; raises InputError when it is none."""
    value = table["sha256"]
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise InputError(f"{origin}: {value!r} is no sha256; build the bundle again.")
    return value


def check_schema(table: Mapping[str, Any], origin: str) -> None:
    """Refuse a schema version this runtime does not know."""
    if table.get("schema") != SCHEMA:
        raise InputError(
            f"{origin}: schema is {table.get('schema')!r}, this runtime reads {SCHEMA}; "
            "write it for that schema or update the runtime."
        )
