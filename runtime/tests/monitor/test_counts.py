from __future__ import annotations

import pytest

from edgeai_runtime.monitor.counts import ModelCounts


def test_a_batch_is_as_many_inferences_as_it_holds() -> None:
    counts = ModelCounts("1.0.0")
    counts.executed(requests=3, rows=8, queue_s=0.03, seconds=0.01)
    counts.executed(requests=1, rows=8, queue_s=0.0, seconds=0.03)
    counts.executed(requests=1, rows=1, queue_s=0.0, seconds=0.002)
    assert (counts.computed, counts.inferences, counts.executions) == (5, 17, 3)
    assert counts.queue_s == pytest.approx(0.03)
    assert counts.compute_s == pytest.approx(3 * 0.01 + 0.03 + 0.002)
    assert counts.batches == {8: [2, pytest.approx(0.04)], 1: [1, pytest.approx(0.002)]}


def test_what_a_full_queue_refused_is_told_apart() -> None:
    counts = ModelCounts("1.0.0")
    for status in (200, 400, 429, 413, 500):
        counts.answered(status, 0.01)
    assert (counts.succeeded, counts.refused, counts.rejected, counts.failed) == (1, 3, 1, 1)
    assert (counts.success_s, counts.times.seconds) == (pytest.approx(0.01), pytest.approx(0.05))
    assert counts.last_ms > 0
