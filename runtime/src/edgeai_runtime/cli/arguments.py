"""Arguments that several commands take, and the kinds of their values."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Callable

from edgeai_runtime.cli.command import argument, one_of

_LONGEST = 10_000_000  # seconds


def whole(low: int, high: int) -> Callable[[str], int]:
    """A type of whole numbers from one to the other."""

    def read(text: str) -> int:
        if not text.isdecimal() or len(text) > 18 or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {low} to {high}")
        return int(text)

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """A type of numbers from one to the other: a time that is none of them would never end, or be none."""

    def read(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not low <= found <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is no number from {low} to {high}")
        return found

    return read


days, descriptor = whole(1, 3650), whole(0, 1 << 20)
some_seconds, seconds = number(0.001, _LONGEST), number(0, _LONGEST)

CHECK = argument("--check", action="store_true", help="say what would be done, change nothing")
SERVER = one_of(
    argument("--url", help="where it is served (default: this device)"),
    argument("--uds", type=Path, metavar="PATH", help="at this Unix socket"),
)
DEPOTS = (
    argument(
        "--depot", required=True, action="append", metavar="URL", help="again for each mirror, asked in order"
    ),
    argument(
        "--rate-limit",
        type=number(0, 1_000_000),
        default=0.0,
        metavar="MB",
        help="MB a second at most (default: no limit)",
    ),
)


def asks_a_server(args: argparse.Namespace) -> bool:
    """Whether a command that is a device's otherwise is about a server that was named."""
    return bool(getattr(args, "url", None) or getattr(args, "uds", None))
