"""Counts requests and samples the process."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Callable, Deque, Dict, Mapping, Optional, Sequence, Tuple

from edgeai_runtime.monitor.counts import ModelCounts
from edgeai_runtime.monitor.failures import Failures
from edgeai_runtime.monitor.memory import resident_mb

WINDOW = 1000
WINDOW_S = 60.0
CPU_PERIOD_S = 0.5


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

    def totals(self) -> Dict[str, Any]:
        """Totals and averages since the process began, of all models and of each."""
        models = self.models.values()
        seconds = sum(model.times.seconds for model in models)
        return {
            "requests": self.requests,
            "inferences": sum(model.inferences for model in models),
            "refused": sum(model.refused for model in models),
            "errors": self.errors,
            "mean_ms": round(seconds / self.requests * 1000, 3) if self.requests else None,
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
            "in_flight": self.in_flight,
            "cpu_percent": self.cpu_percent,
            "models": {
                name: {
                    "version": model.version,
                    "provider": model.provider,
                    "requests": model.requests,
                    "inferences": model.inferences,
                    "refused": model.refused,
                    "errors": model.failed,
                    "mean_ms": model.mean_ms,
                }
                for name, model in self.models.items()
            },
        }

    def heartbeat(self) -> Dict[str, Any]:
        """What the keeper is told every second."""
        return {
            "requests": self.requests,
            "inferences": sum(model.inferences for model in self.models.values()),
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
        self.models = {name: ModelCounts(version) for name, version in versions.items()}
        self._clock = clock
        self._times: Deque[Tuple[float, float]] = deque(maxlen=WINDOW)
        self._in_flight = 0
        self._cpu_percent = 0.0
        self._cpu_since, self._cpu_used = clock(), time.process_time()
        self.failures = Failures()

    def add(self, model: str, version: str) -> None:
        """One more is served, or one again, whose figures then go on; those of one that left stay."""
        self.models.setdefault(model, ModelCounts(version)).version = version

    def begin(self) -> None:
        """An inference request arrived."""
        self._in_flight += 1

    def end(self, model: str, status: int, seconds: float, cause: str = "") -> None:
        """It was answered with this HTTP status; `cause`: what an error's answer says."""
        self._in_flight -= 1
        self.models[model].answered(status, seconds)
        if status >= 400:
            self.failures.add(model, status, cause)
        self._times.append((self._clock(), seconds * 1000))

    def passed(self, counts: ModelCounts, seconds: float) -> None:
        """A request arrived and was answered with a result before anything else happened."""
        counts.answered(200, seconds)
        self._times.append((self._clock(), seconds * 1000))

    def snapshot(self) -> Snapshot:
        oldest = self._clock() - WINDOW_S
        while self._times and self._times[0][0] < oldest:
            self._times.popleft()
        times = sorted(duration for _when, duration in self._times)
        return Snapshot(
            models=self.models,
            p50_ms=percentile(times, 50),
            p99_ms=percentile(times, 99),
            timed=len(times),
            in_flight=self._in_flight,
            cpu_percent=self._cpu(),
            rss_mb=resident_mb(),
        )

    def _cpu(self) -> float:
        # Two who ask at once would see what the first one's question cost.
        elapsed = self._clock() - self._cpu_since
        if elapsed >= CPU_PERIOD_S:
            used = time.process_time()
            self._cpu_percent = round(100 * (used - self._cpu_used) / elapsed, 1)
            self._cpu_since, self._cpu_used = self._cpu_since + elapsed, used
        return self._cpu_percent


def percentile(ordered: Sequence[float], share: float) -> Optional[float]:
    """Nearest rank: the smallest value that `share` percent of the values do not exceed, to 2 decimals."""
    if not ordered:
        return None
    return round(ordered[max(math.ceil(len(ordered) * share / 100), 1) - 1], 2)
