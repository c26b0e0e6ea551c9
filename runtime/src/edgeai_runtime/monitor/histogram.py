"""How long requests took, as Prometheus counts it."""

from __future__ import annotations

from bisect import bisect_left
from typing import List, Tuple

# Upper bounds in seconds, inclusive: from a small network on a PC to a large one on a Raspberry Pi.
BOUNDS: Tuple[float, ...] = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class Histogram:
    """Counts by duration; the last count is of what took longer than every bound."""

    def __init__(self) -> None:
        self.counts: List[int] = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    @property
    def count(self) -> int:
        return sum(self.counts)
