"""JSON that clients send."""

from __future__ import annotations

import json
import re
from typing import Any

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json(data: bytes) -> Any:
    """What it says. Raises ValueError, also for half of a surrogate pair: no answer could repeat it."""
    try:
        said = json.loads(data)
        if _SURROGATE.search(data):
            json.dumps(said, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a text in it has half of a surrogate pair") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return said
