"""How much of its limits a hot machine still uses, so that it need not slow itself down."""

from __future__ import annotations

import time
from typing import Callable, Optional

LEVELS = (1.0, 0.75, 0.5, 0.25)
NEAR_C, FAR_C = 5.0, 10.0  # from where the machine slows itself down: too near; far enough
CALM_S = 30.0  # far enough for so long, before a level is taken back


class Pressure:
    """One level down at each look while it is too hot, one up after each calm half minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds."""
        self._clock = clock
        self._level = 0
        self._calm_since = clock()

    def update(self, margin_c: Optional[float], throttled: Optional[bool]) -> float:
        """What batch and concurrency limits are multiplied with, 1.0 down to 0.25.

        `margin_c`: degrees until the machine slows itself down; `throttled`: it does so already. Where
        neither is known nothing is held back.
        """
        now = self._clock()
        if throttled or (margin_c is not None and margin_c < NEAR_C):
            self._level = min(self._level + 1, len(LEVELS) - 1)
            self._calm_since = now
        elif margin_c is not None and margin_c < FAR_C:
            self._calm_since = now
        elif self._level and now - self._calm_since >= CALM_S:
            self._level -= 1
            self._calm_since = now
        return LEVELS[self._level]
