"""JSON that clients send."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from edgeai_runtime.errors import InputError

MOST_VALUES = 2_000_000  # of a text: the interpreter can do nothing else while it reads them, for a second

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_LONG_NUMBER = re.compile(r"\d{5000}")
# Older interpreters take minutes for a number of a million digits.
_LIMITS_NUMBERS = hasattr(sys, "set_int_max_str_digits")


def read_json(data: bytes) -> Any:
    """What it says. Raises ValueError, also for half of a surrogate pair: no answer could repeat it;
    InputError for more than can be read in passing."""
    text = data.decode()  # strictly, which json itself is not
    if text.count(",") >= MOST_VALUES:
        raise InputError(
            f"The JSON has more than {MOST_VALUES:,} values; send large tensors as bytes behind it."
        )
    if not _LIMITS_NUMBERS and _LONG_NUMBER.search(text):
        raise ValueError("a number in it has more than 5,000 digits")
    try:
        said = json.loads(text)
        if _SURROGATE.search(text):
            json.dumps(said, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a text in it has half of a surrogate pair") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return said
