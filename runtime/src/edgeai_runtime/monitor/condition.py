"""How it goes, in one word."""

from __future__ import annotations

from typing import Sequence

FAILING_PERCENT = 50.0


def condition(alarms: Sequence[str], error_percent: float, serves: bool = True) -> str:
    """ "good"; "degraded", an alarm stands; "failing", nothing serves or half of the last minute's requests
    failed."""
    if not serves or error_percent >= FAILING_PERCENT:
        return "failing"
    return "degraded" if alarms else "good"
