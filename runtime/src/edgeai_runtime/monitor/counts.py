"""What a model did since the process began, counted once: health, statistics and metrics are views of it."""

from __future__ import annotations

import time
from typing import Callable, Dict, List, Optional

from edgeai_runtime.monitor.histogram import Histogram


class ModelCounts:
    """Requests are counted by the event loop when they are answered, executions by whoever runs the model.

    Each figure has one writer; all are read at any time. Times are in seconds. The keeper's own samples are
    no client's: they are in none of these.
    """

    def __init__(self, version: str) -> None:
        self.version = version
        self.provider = ""  # what runs it, such as "cpu"
        self.succeeded = 0  # requests answered with a result
        self.refused = 0  # with a 4xx: the client's mistake, or
        self.rejected = 0  # of these: the queue was full, or it waited too long
        self.failed = 0  # with a 5xx
        self.times = Histogram()  # of all of them
        self.success_s = 0.0
        self.last_ms = 0  # when the last one was answered, since 1970
        self.hits = self.misses = 0  # requests whose answer was there, or under way, and others
        self.computed = self.executions = 0  # requests that the model answered, in so many batches
        self.inferences = 0  # rows in them: a batch of 8 is 8
        self.queue_s = self.compute_s = 0.0  # of those requests, together
        self.pending: Callable[[], int] = int  # requests that wait for the model now
        self.batches: Dict[int, List[float]] = {}  # by rows: how many, seconds

    @property
    def requests(self) -> int:
        return self.succeeded + self.refused + self.failed

    @property
    def mean_ms(self) -> Optional[float]:
        """Average time to an answer, None before the first."""
        return round(self.times.seconds / self.requests * 1000, 3) if self.requests else None

    def answered(self, status: int, seconds: float) -> None:
        """A request was answered with this HTTP status."""
        self.last_ms = int(time.time() * 1000)
        self.times.add(seconds)
        if status < 400:
            self.succeeded += 1
            self.success_s += seconds
        elif status < 500:
            self.refused += 1
            self.rejected += status == 429
        else:
            self.failed += 1

    def executed(self, requests: int, rows: int, queue_s: float, seconds: float) -> None:
        """The model answered a batch of so many requests, which had waited `queue_s` together."""
        self.computed += requests
        self.executions += 1
        self.inferences += rows
        self.queue_s += queue_s
        self.compute_s += seconds * requests
        seen = self.batches.setdefault(rows, [0, 0.0])
        seen[0] += 1
        seen[1] += seconds
