"""One budget of processor cores for all models, so that two at work do not slow each other down."""

from __future__ import annotations

import os
from collections import deque
from typing import Callable, Deque, Optional, Tuple


def usable() -> int:
    """The cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Cores:
    """It belongs to the event loop.

    Who comes first is served first: a model of many threads is not passed by for ever by those of one.
    What runs in the event loop itself takes none, since nothing is begun while it runs.
    """

    def __init__(self, count: Optional[int] = None) -> None:
        """`count`: None for all that this process may run on."""
        self.count = self._free = count or usable()
        self._waiting: Deque[Tuple[int, Callable[[], None]]] = deque()

    def take(self, threads: int, begin: Callable[[], None]) -> None:
        """Call `begin` as soon as so many cores are free, at once where they are; at most all are taken."""
        self._waiting.append((min(threads, self.count), begin))
        self._serve()

    def give(self, threads: int) -> None:
        """Give back what was taken for so many threads."""
        self._free += min(threads, self.count)
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            taken, begin = self._waiting.popleft()
            self._free -= taken
            begin()
