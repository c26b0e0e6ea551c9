"""How far a transfer is and how fast; it also keeps the rate that a device allows."""

from __future__ import annotations

import time
from typing import Callable

from edgeai_runtime.progress import Transferred

TOLD_EVERY_S = 1.0


class Meter:
    """Counts the bytes of a transfer of `total`; `rate_limit` is in bytes a second, 0 for none."""

    def __init__(self, total: int, rate_limit: float, tell: Callable[[str], None]) -> None:
        self._total = total
        self._limit = rate_limit
        self._tell = tell
        self._count = 0
        self._begun = self._told = self._due = time.monotonic()

    def __call__(self, count: int) -> None:
        """`count` bytes have come: wait for as long as the rate demands, and tell once a second."""
        self._count += count
        if self._limit:
            # What was not used of the rate is not made up for: the line has others on it.
            self._due = max(self._due, time.monotonic()) + count / self._limit
            time.sleep(max(0.0, self._due - time.monotonic()))
        now = time.monotonic()
        if now - self._told >= TOLD_EVERY_S:
            self._told = now
            self._tell(self._transferred(now - self._begun))

    def _transferred(self, seconds: float) -> Transferred:
        rate = self._count / seconds
        remaining = max(0, self._total - self._count) / rate
        told = Transferred(
            f"{self._count / 1e6:.1f} of {self._total / 1e6:.1f} MB, {rate / 1e6:.1f} MB/s, "
            f"{remaining:.0f} s remain"
        )
        told.figures = {
            "bytes": self._count,
            "total": self._total,
            "rate": round(rate),
            "remaining_s": round(remaining, 1),
        }
        return told
