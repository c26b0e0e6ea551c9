"""Single values of a table, each checked: a wrong one is an error that says what was expected."""

from __future__ import annotations

import re
from typing import Any, Mapping, Sequence, Tuple, Type, Union

from edgeai_runtime.errors import InputError

SCHEMA = 1
NUMBERS = (int, float)

_Kind = Union[Type[Any], Tuple[Type[Any], ...]]
_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}
_SHA256 = re.compile(r"[0-9a-f]{64}")


def typed(table: Mapping[str, Any], key: str, kind: _Kind, origin: str, default: Any = None) -> Any:
    """`table[key]`, or `default` where the key is missing; raises InputError for a value of another type."""
    value = table.get(key, default)
    # bool is an int to Python, but `threads = true` is a mistake.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        expected = _WORDS[kind[-1] if isinstance(kind, tuple) else kind]
        raise InputError(f"{origin}: '{key}' is {value!r}, expected {expected}; correct it.")
    return value


def choice(
    table: Mapping[str, Any], key: str, choices: Sequence[str], origin: str, default: Any = None
) -> str:
    """A text that must be one of `choices`; raises InputError."""
    value = typed(table, key, str, origin, default)
    if value not in choices:
        raise InputError(f"{origin}: '{key}' is '{value}', expected one of {', '.join(choices)}; correct it.")
    return str(value)


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
