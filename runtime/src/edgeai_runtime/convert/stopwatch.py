"""Times into which no pause of the process counts."""

from __future__ import annotations

import signal
import time
from typing import Any, Callable, Tuple, TypeVar

Answer = TypeVar("Answer")

_continued = 0


def notice_pauses() -> None:
    """Notice from now on when this process was stopped and goes on. From the main thread alone."""
    signal.signal(signal.SIGCONT, _note)


def timed(ask: Callable[[], Answer]) -> Tuple[Answer, float]:
    """What `ask` answers, and the milliseconds it took; asked once more where it was stopped meanwhile."""
    while True:
        before = _continued
        started = time.perf_counter()
        answer = ask()
        took = (time.perf_counter() - started) * 1000
        if _continued == before:
            return answer, took


def _note(_signal: int, _frame: Any) -> None:
    global _continued
    _continued += 1
