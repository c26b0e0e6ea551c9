from __future__ import annotations

import os

import psutil
import pytest
from clock import Clock

from edgeai_runtime.monitor.sampler import Sampler, percentile


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
    assert (counts.times.count, counts.times.seconds) == (5, pytest.approx(0.05))
    assert counts.mean_ms == 10
    assert (snapshot.requests, snapshot.errors) == (5, 1)


def test_models_come_and_go_and_what_they_did_stays(sampler: Sampler) -> None:
    answer(sampler)
    sampler.add("third", "1")
    sampler.add("reader", "1.1.0")
    sampler.begin()
    sampler.end("third", 200, 0.01)
    models = sampler.snapshot().models
    assert {name: counts.version for name, counts in models.items()} == {
        "reader": "1.1.0",
        "other": "2.0.0",
        "third": "1",
    }
    assert (models["reader"].succeeded, models["third"].succeeded) == (1, 1)


def test_an_error_is_kept_with_its_cause(sampler: Sampler) -> None:
    sampler.begin()
    sampler.end("reader", 400, 0.01, cause="The input 'y' is unknown.")
    answer(sampler)
    (kept,) = sampler.failures.report()
    assert (kept["model"], kept["status"], kept["count"]) == ("reader", 400, 1)
    assert kept["cause"] == "The input 'y' is unknown."


def test_totals_are_of_all_models_and_of_each(sampler: Sampler) -> None:
    assert sampler.snapshot().totals()["mean_ms"] is None
    answer(sampler, seconds=0.01)
    sampler.begin()
    sampler.end("other", 500, 0.03)
    totals = sampler.snapshot().totals()
    assert (totals["requests"], totals["errors"], totals["mean_ms"]) == (2, 1, 20)
    assert totals["models"]["other"] == {
        "version": "2.0.0",
        "provider": "",
        "requests": 1,
        "inferences": 0,
        "refused": 0,
        "errors": 1,
        "mean_ms": 30,
    }


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
