"""Counts requests and samples the process."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Callable, Deque, Dict, Mapping, Optional, Sequence, Tuple

import psutil

WINDOW = 1000
WINDOW_S = 60.0
CPU_PERIOD_S = 0.5


@dataclass
class ModelCounts:
    """Inference requests of one model answered since the process began, by the kind of answer."""

    version: str
    succeeded: int = 0
    refused: int = 0  # 4xx: the client's mistake
    failed: int = 0  # 5xx
    seconds: float = 0.0  # of all of them together

    @property
    def requests(self) -> int:
        return self.succeeded + self.refused + self.failed


@dataclass(frozen=True)
class Snapshot:
    """One look at the process. Times in ms of the `timed` requests of the last minute (at most 1000), None
    without any; CPU in percent of one core over the last half second or more; resident memory in MiB."""

    models: Mapping[str, ModelCounts] = field(default_factory=dict)
    p50_ms: Optional[float] = None
    p99_ms: Optional[float] = None
    timed: int = 0
    in_flight: int = 0
    cpu_percent: float = 0.0
    rss_mb: float = 0.0

    @property
    def requests(self) -> int:
        return sum(model.requests for model in self.models.values())

    @property
    def errors(self) -> int:
        return sum(model.failed for model in self.models.values())

    def heartbeat(self) -> Dict[str, Any]:
        """What the keeper is told every second."""
        return {
            "requests": self.requests,
            "errors": self.errors,
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
            "timed": self.timed,
            "in_flight": self.in_flight,
            "cpu_percent": self.cpu_percent,
            "rss_mb": self.rss_mb,
            "models": {
                name: {"version": model.version, "requests": model.requests, "errors": model.failed}
                for name, model in self.models.items()
            },
        }


class Sampler:
    """Not thread-safe: it belongs to the event loop."""

    def __init__(self, versions: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        """`versions`: of each model by name; `clock`: seconds."""
        self._models = {name: ModelCounts(version) for name, version in versions.items()}
        self._clock = clock
        self._times: Deque[Tuple[float, float]] = deque(maxlen=WINDOW)
        self._in_flight = 0
        self._process = psutil.Process()
        self._cpu_percent = 0.0
        self._cpu_since = clock()
        # The first figure psutil gives is always 0: it measures from here.
        self._process.cpu_percent()

    def begin(self) -> None:
        """An inference request arrived."""
        self._in_flight += 1

    def end(self, model: str, status: int, seconds: float) -> None:
        """It was answered with this HTTP status."""
        self._in_flight -= 1
        counts = self._models[model]
        if status >= 500:
            counts.failed += 1
        elif status >= 400:
            counts.refused += 1
        else:
            counts.succeeded += 1
        counts.seconds += seconds
        self._times.append((self._clock(), seconds * 1000))

    def snapshot(self) -> Snapshot:
        oldest = self._clock() - WINDOW_S
        while self._times and self._times[0][0] < oldest:
            self._times.popleft()
        times = sorted(duration for _when, duration in self._times)
        return Snapshot(
            models=self._models,
            p50_ms=percentile(times, 50),
            p99_ms=percentile(times, 99),
            timed=len(times),
            in_flight=self._in_flight,
            cpu_percent=self._cpu(),
            rss_mb=round(self._process.memory_info().rss / (1 << 20), 1),
        )

    def _cpu(self) -> float:
        # Over a few milliseconds the kernel's clock ticks make nonsense of it: thousands of percent.
        if self._clock() - self._cpu_since >= CPU_PERIOD_S:
            self._cpu_percent = round(self._process.cpu_percent(), 1)
            self._cpu_since = self._clock()
        return self._cpu_percent


def percentile(ordered: Sequence[float], share: float) -> Optional[float]:
    """Nearest rank: the smallest value that `share` percent of the values do not exceed, to 2 decimals."""
    if not ordered:
        return None
    return round(ordered[max(math.ceil(len(ordered) * share / 100), 1) - 1], 2)
