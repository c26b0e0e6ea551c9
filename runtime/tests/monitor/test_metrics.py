from __future__ import annotations

import re

from edgeai_runtime.monitor.counts import ModelCounts
from edgeai_runtime.monitor.metrics import render
from edgeai_runtime.monitor.sampler import Snapshot
from edgeai_runtime.serving.cache import Cache

COUNTS = ModelCounts("1.0.0")
for status, seconds in ((200, 0.0001), (200, 0.04), (200, 0.04), (400, 0.04), (429, 0.0299), (500, 0.1)):
    COUNTS.answered(status, seconds)
COUNTS.executed(requests=2, rows=24, queue_s=0.001, seconds=0.004)
COUNTS.hits, COUNTS.misses = 1, 2
READINGS = {"temperature_c": 51.5, "throttled": False, "disk_free_mb": 2.0, "gpu_percent": None}


def test_every_metric_has_its_help_and_type_once_and_before_its_values() -> None:
    snapshot = Snapshot({"a": COUNTS, "b": COUNTS}, p50_ms=1.5, p99_ms=20.0)
    lines = render(snapshot, 7, READINGS, {"disk": True, "wear": False}).splitlines()
    declared = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    assert len(declared) == len(set(declared))
    for name in declared:
        helped, typed, *values = [
            index
            for index, line in enumerate(lines)
            if re.search(rf"(^| ){name}(_bucket|_sum|_count)?( |\{{)", line)
        ]
        assert (lines[helped].split()[1], lines[typed].split()[1]) == ("HELP", "TYPE")
        assert values
        assert helped < typed < min(values)


def test_values_are_what_was_counted() -> None:
    text = render(Snapshot({"a": COUNTS}, p50_ms=1.5, p99_ms=20.0, rss_mb=2.0), 7)
    for line in (
        'nv_inference_request_success{model="a",version="1.0.0"} 3',
        'nv_inference_request_failure{model="a",version="1.0.0",reason="BACKEND"} 1',
        'nv_inference_request_failure{model="a",version="1.0.0",reason="REJECTED"} 1',
        'nv_inference_request_failure{model="a",version="1.0.0",reason="OTHER"} 1',
        'nv_inference_request_duration_us{model="a",version="1.0.0"} 250000',
        'nv_inference_count{model="a",version="1.0.0"} 24',
        'nv_inference_exec_count{model="a",version="1.0.0"} 1',
        'nv_inference_queue_duration_us{model="a",version="1.0.0"} 1000',
        'nv_inference_compute_infer_duration_us{model="a",version="1.0.0"} 8000',
        'nv_cache_num_hits_per_model{model="a",version="1.0.0"} 1',
        'nv_cache_num_misses_per_model{model="a",version="1.0.0"} 2',
        "edgeai_request_seconds_p50 0.0015",
        "edgeai_request_seconds_p99 0.02",
        "process_resident_memory_bytes 2097152",
        "edgeai_generation 7",
    ):
        assert f"\n{line}\n" in text


def test_a_histogram_counts_what_took_at_most_so_long() -> None:
    text = render(Snapshot({"a": COUNTS}), 7)
    for bound, count in (("0.0001", 1), ("0.025", 1), ("0.05", 5), ("0.1", 6), ("10", 6), ("+Inf", 6)):
        assert f'_seconds_bucket{{model="a",version="1.0.0",le="{bound}"}} {count}\n' in text
    assert 'edgeai_request_duration_seconds_sum{model="a",version="1.0.0"} 0.250000\n' in text
    assert 'edgeai_request_duration_seconds_count{model="a",version="1.0.0"} 6\n' in text


def test_what_took_longer_than_every_bound_is_counted_too() -> None:
    slow = ModelCounts("1.0.0")
    slow.answered(200, 60.0)
    text = render(Snapshot({"a": slow}), 7)
    assert 'le="10"} 0\n' in text
    assert 'le="+Inf"} 1\n' in text


def test_the_cache_tells_how_full_it_is() -> None:
    cache = Cache(1000)
    cache.size, cache.evictions = 900, 7
    text = render(Snapshot(), 7, cache=cache)
    for line in ("edgeai_cache_bytes 900", "edgeai_cache_limit_bytes 1000", "edgeai_cache_evictions 7"):
        assert f"\n{line}\n" in text
    assert "edgeai_cache" not in render(Snapshot(), 7)


def test_readings_are_in_the_units_of_prometheus() -> None:
    text = render(Snapshot(), 7, READINGS)
    for line in ("edgeai_temperature_celsius 51.5", "edgeai_throttled 0", "edgeai_disk_free_bytes 2097152"):
        assert f"\n{line}\n" in text
    assert "gpu" not in text


def test_each_alarm_stands_or_not() -> None:
    text = render(Snapshot(), 7, READINGS, {"disk": True, "wear": False})
    assert 'edgeai_alarm{alarm="disk"} 1\nedgeai_alarm{alarm="wear"} 0\n' in text


def test_times_are_left_out_while_there_are_none() -> None:
    assert "_p99" not in render(Snapshot({"a": COUNTS}), 7)


def test_labels_are_escaped() -> None:
    assert r'{model="a\"\\\n",' in render(Snapshot({'a"\\\n': COUNTS}), 7)
