from __future__ import annotations

import os

import psutil
import pytest

from edgeai_runtime.monitor.sampler import Sampler, percentile


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sampler(clock: Clock) -> Sampler:
    return Sampler({"reader": "1.0.0", "other": "2.0.0"}, clock)


def answer(sampler: Sampler, status: int = 200, seconds: float = 0.01) -> None:
    sampler.begin()
    sampler.end("reader", status, seconds)


def test_requests_are_counted_by_the_kind_of_their_answer(sampler: Sampler) -> None:
    for status in (200, 200, 400, 415, 500):
        answer(sampler, status)
    snapshot = sampler.snapshot()
    counts = snapshot.models["reader"]
    assert (counts.succeeded, counts.refused, counts.failed) == (2, 2, 1)
    assert counts.seconds == pytest.approx(0.05)
    assert (snapshot.requests, snapshot.errors) == (5, 1)


def test_a_client_s_mistake_is_no_error_in_a_heartbeat(sampler: Sampler) -> None:
    answer(sampler, 400)
    heartbeat = sampler.snapshot().heartbeat()
    assert (heartbeat["requests"], heartbeat["errors"]) == (1, 0)
    assert heartbeat["models"]["other"] == {"version": "2.0.0", "requests": 0, "errors": 0}


def test_what_is_not_answered_yet_is_in_flight(sampler: Sampler) -> None:
    sampler.begin()
    sampler.begin()
    sampler.end("reader", 200, 0.1)
    assert sampler.snapshot().in_flight == 1


def test_percentiles_are_of_the_last_minute(sampler: Sampler, clock: Clock) -> None:
    assert (sampler.snapshot().p50_ms, sampler.snapshot().p99_ms) == (None, None)
    answer(sampler, seconds=9.0)
    clock.now += 59
    answer(sampler, seconds=0.02)
    assert (sampler.snapshot().p50_ms, sampler.snapshot().p99_ms) == (20, 9000)
    clock.now += 2
    assert sampler.snapshot().p99_ms == 20
    clock.now += 60
    assert sampler.snapshot().p99_ms is None


def test_percentiles_are_nearest_rank() -> None:
    hundred = [float(value) for value in range(1, 101)]
    assert [percentile(hundred, share) for share in (0, 50, 99, 100)] == [1, 50, 99, 100]
    assert percentile([7.0], 99) == 7
    assert percentile([], 50) is None


def test_the_process_is_measured(sampler: Sampler, clock: Clock) -> None:
    assert sampler.snapshot().rss_mb == pytest.approx(
        psutil.Process(os.getpid()).memory_info().rss / (1 << 20), rel=0.1
    )
    assert sampler.snapshot().cpu_percent == 0
    clock.now += 1
    while os.times().user < 0.1 or sampler.snapshot().cpu_percent == 0:
        clock.now += 1
    assert sampler.snapshot().cpu_percent > 0
