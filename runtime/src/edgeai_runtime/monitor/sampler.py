# NOTE to helper "serving": the lead wrote this while you were silent (12:30); it may have replaced yours.
# You own it again: keep or rewrite, and remove this note.
"""Counts requests and takes the serving process's pulse."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Deque, Dict, Iterable, Optional

import psutil

WINDOW = 512  # answered requests that the percentiles are taken over


@dataclass
class ModelCount:
    """Requests answered by one model since the process started; `errors` are those answered with 5xx."""

    version: str
    requests: int = 0
    errors: int = 0
    seconds: float = 0.0


class Sampler:
    """Counters of one serving process. Used from the event loop alone."""

    def __init__(self, versions: Dict[str, str]) -> None:
        """`versions`: of each model by name."""
        self.models = {name: ModelCount(version) for name, version in versions.items()}
        self.in_flight = 0
        self._latencies: Deque[float] = deque(maxlen=WINDOW)
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first call only starts the clock

    def record(self, model: str, seconds: float, failed: bool) -> None:
        """Count one answered inference request."""
        count = self.models[model]
        count.requests += 1
        count.errors += failed
        count.seconds += seconds
        self._latencies.append(seconds * 1000)

    def heartbeat(self) -> Dict[str, Any]:
        """The message the keeper gets each second: totals, ms percentiles, % of one core, MB of RSS."""
        ordered = sorted(self._latencies)
        return {
            "event": "heartbeat",
            "requests": sum(count.requests for count in self.models.values()),
            "errors": sum(count.errors for count in self.models.values()),
            "p50_ms": percentile(ordered, 0.50),
            "p99_ms": percentile(ordered, 0.99),
            "in_flight": self.in_flight,
            "cpu_percent": round(self._process.cpu_percent(), 1),
            "rss_mb": round(self._process.memory_info().rss / 1e6, 1),
            "models": {
                name: {"version": count.version, "requests": count.requests, "errors": count.errors}
                for name, count in self.models.items()
            },
        }


def percentile(ordered: Iterable[float], share: float) -> Optional[float]:
    """The nearest-rank percentile of ascending values in their unit, to 2 decimals; None without any."""
    values = list(ordered)
    if not values:
        return None
    rank = max(0, -(-int(share * 100) * len(values) // 100) - 1)
    return round(values[min(rank, len(values) - 1)], 2)
