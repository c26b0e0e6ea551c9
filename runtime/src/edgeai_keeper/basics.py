"""What all parts of the keeper use."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import sys
import time
from typing import Any, Callable, Dict, Optional

LINE_LIMIT = 1 << 16  # bytes of one JSON line

Json = Dict[str, Any]
Reply = Callable[[Json], None]


class Refused(Exception):
    """What was asked cannot be done; the text is one sentence for the user."""


class Damaged(Refused):
    """A generation cannot start, and never will before somebody mends its files."""


def no_reply(answer: Json) -> None:
    """For what nobody asked for."""


def say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"keeper: {text}", file=sys.stderr, flush=True)


def timestamp() -> str:
    """Now as ISO-8601 UTC with milliseconds."""
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}+00:00"


def parse_line(line: bytes) -> Optional[Json]:
    """The JSON object on a line, or None."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def send_line(to: socket.socket, message: Json) -> None:
    """Send without waiting; whoever is gone or does not read has no claim to it."""
    with contextlib.suppress(OSError):
        to.send(json.dumps(message).encode() + b"\n")


def number(table: Json, key: str, default: Optional[float] = None, whole: bool = False) -> Any:
    """A number of at least 0 from a request. Raises Refused."""
    value: Any = table.get(key, default)
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value < math.inf:
        raise Refused(f"{key} is {value!r}, expected a {'whole ' * whole}number from 0; correct the request.")
    return value
