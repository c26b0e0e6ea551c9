"""Strict tables: an unknown key is an error that names the nearest known, a wrong value says what fits."""

from __future__ import annotations

import difflib
from typing import Any, Collection, Iterable, Mapping, Optional, Sequence, Tuple, Type, Union

from edgeai_runtime.errors import InputError

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


def of_kind(value: Any, kind: _Kind, what: str) -> Any:
    """The value of `what`; raises InputError for one of another type."""
    # bool is an int to Python, but `threads = true` is a mistake.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        expected = _WORDS[kind[-1] if isinstance(kind, tuple) else kind]
        raise InputError(f"{what} is {value!r}, expected {expected}; correct it.")
    return value


def typed(table: Mapping[str, Any], key: str, kind: _Kind, origin: str, default: Any = None) -> Any:
    """`table[key]`, or `default` where the key is missing; raises InputError for a value of another type."""
    return of_kind(table.get(key, default), kind, f"{origin}: '{key}'")


def choice(
    table: Mapping[str, Any], key: str, choices: Sequence[str], origin: str, default: Any = None
) -> str:
    """A text that must be one of `choices`; raises InputError."""
    value = typed(table, key, str, origin, default)
    if value not in choices:
        raise InputError(f"{origin}: '{key}' is '{value}', expected one of {', '.join(choices)}; correct it.")
    return str(value)


def within(value: float, lowest: float, highest: float, what: str) -> None:
    """That a number lies between two, both included; raises InputError."""
    if not lowest <= value <= highest:
        found, low, high = (
            f"{number:g}" if isinstance(number, float) else number for number in (value, lowest, highest)
        )
        raise InputError(f"{what} is {found}, expected {low} to {high}; correct it.")
