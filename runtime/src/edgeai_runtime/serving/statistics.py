"""What a model did, in Triton's terms (its statistics extension), since the process began."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Dict, List, Sequence

if TYPE_CHECKING:
    from edgeai_runtime.serving.waiting import Job


class Statistics:
    """Seconds and counts; written by whoever runs the model, read at any time."""

    def __init__(self) -> None:
        self.succeeded = self.failed = self.rejected = 0  # requests
        self.hits = self.misses = 0
        self.inferences = self.executions = 0  # rows of batches, and batches
        self.success_s = self.fail_s = self.queue_s = self.compute_s = 0.0
        self.last_ms = 0  # since 1970
        self.batches: Dict[int, List[float]] = {}  # by rows: how many, seconds

    def executed(self, jobs: Sequence[Job], begun: float, ended: float) -> None:
        """An inference of these jobs, in seconds of time.perf_counter."""
        rows = 0
        for job in jobs:
            rows += job.rows
            self.queue_s += begun - job.arrived
        self.inferences += rows
        self.executions += 1
        self.compute_s += (ended - begun) * len(jobs)
        seen = self.batches.setdefault(rows, [0, 0.0])
        seen[0] += 1
        seen[1] += ended - begun

    def answered(self, seconds: float, well: bool) -> None:
        """A request was answered, after so many seconds."""
        self.last_ms = int(time.time() * 1000)
        if well:
            self.succeeded += 1
            self.success_s += seconds
        else:
            self.failed += 1
            self.fail_s += seconds

    def as_triton(self, name: str, version: str) -> Dict[str, Any]:
        """A model_stat object of GET /v2/models/stats, durations in nanoseconds."""
        nothing = _duration(0, 0.0)
        return {
            "name": name,
            "version": version,
            "last_inference": self.last_ms,
            "inference_count": self.inferences,
            "execution_count": self.executions,
            "inference_stats": {
                "success": _duration(self.succeeded, self.success_s),
                "fail": _duration(self.failed, self.fail_s),
                "queue": _duration(self.succeeded, self.queue_s),
                "compute_input": nothing,
                "compute_infer": _duration(self.succeeded, self.compute_s),
                "compute_output": nothing,
                "cache_hit": _duration(self.hits, 0.0),
                "cache_miss": _duration(self.misses, 0.0),
            },
            "batch_stats": [
                {
                    "batch_size": rows,
                    "compute_input": nothing,
                    "compute_infer": _duration(int(count), seconds),
                    "compute_output": nothing,
                }
                for rows, (count, seconds) in sorted(self.batches.items())
            ],
        }


def _duration(count: int, seconds: float) -> Dict[str, int]:
    return {"count": count, "ns": round(seconds * 1e9)}
