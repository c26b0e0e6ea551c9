"""What strangers can cause as often as they like is said once, then counted."""

from __future__ import annotations

import time
from typing import Callable, Dict, List

PERIOD_S = 600.0
_KINDS = 32  # of sentences that are remembered; a stranger may think of more


class Seldom:
    """The same sentence is said once in PERIOD_S, with how often it was left out since the last time."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds."""
        self._say, self._clock = say, clock
        self._said: Dict[str, List[float]] = {}  # when, how often it was left out since

    def say(self, sentence: str) -> None:
        now = self._clock()
        before = self._said.get(sentence)
        if before is not None and now - before[0] < PERIOD_S:
            before[1] += 1
            return
        if before is None and len(self._said) >= _KINDS:
            self._said.clear()
        left_out = 0 if before is None else int(before[1])
        self._said[sentence] = [now, 0]
        self._say(f"{sentence} ({left_out} times more since this was said last)" if left_out else sentence)
