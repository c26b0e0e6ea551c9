from __future__ import annotations

import re

from edgeai_runtime.monitor.metrics import render
from edgeai_runtime.monitor.sampler import ModelCounts, Snapshot

COUNTS = ModelCounts("1.0.0", succeeded=3, refused=2, failed=1, seconds=0.25)


def test_every_metric_has_its_help_and_type_once_and_before_its_values() -> None:
    lines = render(Snapshot({"a": COUNTS, "b": COUNTS}, p50_ms=1.5, p99_ms=20.0), 7).splitlines()
    declared = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    assert len(declared) == len(set(declared))
    for name in declared:
        helped, typed, *values = [
            index for index, line in enumerate(lines) if re.search(rf"(^| ){name}( |\{{)", line)
        ]
        assert (lines[helped].split()[1], lines[typed].split()[1]) == ("HELP", "TYPE")
        assert values
        assert helped < typed < min(values)


def test_values_are_what_was_counted() -> None:
    text = render(Snapshot({"a": COUNTS}, p50_ms=1.5, p99_ms=20.0, rss_mb=2.0), 7)
    for line in (
        'nv_inference_request_success{model="a",version="1.0.0"} 3',
        'nv_inference_request_failure{model="a",version="1.0.0",reason="BACKEND"} 1',
        'nv_inference_request_failure{model="a",version="1.0.0",reason="REJECTED"} 2',
        'nv_inference_request_duration_us{model="a",version="1.0.0"} 250000',
        "edgeai_request_seconds_p50 0.0015",
        "edgeai_request_seconds_p99 0.02",
        "process_resident_memory_bytes 2097152",
        "edgeai_generation 7",
    ):
        assert f"\n{line}\n" in text


def test_times_are_left_out_while_there_are_none() -> None:
    assert "_p99" not in render(Snapshot({"a": COUNTS}), 7)


def test_labels_are_escaped() -> None:
    assert r'{model="a\"\\\n",' in render(Snapshot({'a"\\\n': COUNTS}), 7)
