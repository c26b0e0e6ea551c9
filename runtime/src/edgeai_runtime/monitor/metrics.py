"""Figures as Prometheus text (https://prometheus.io/docs/instrumenting/exposition_formats).

`nv_*` mean what Triton means by them, so that dashboards made for it work; docs/monitoring.md lists all.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Callable, List, Mapping, Optional, Protocol, Tuple

from edgeai_runtime.monitor.counts import ModelCounts
from edgeai_runtime.monitor.histogram import BOUNDS
from edgeai_runtime.monitor.sampler import Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_MIB = 1 << 20
_SUCCESS, _FAILURE = "nv_inference_request_success", "nv_inference_request_failure"
_DURATION = "edgeai_request_duration_seconds"
# Name, help, and a sample for each further set of labels.
_PER_MODEL: Tuple[Tuple[str, str, Mapping[str, Callable[[ModelCounts], int]]], ...] = (
    (_SUCCESS, "Inference requests answered with a result", {"": lambda model: model.succeeded}),
    (
        _FAILURE,
        "Inference requests answered with an error: of the model, of a full queue, or of the client",
        {
            ',reason="BACKEND"': lambda model: model.failed,
            ',reason="REJECTED"': lambda model: model.rejected,
            ',reason="OTHER"': lambda model: model.refused - model.rejected,
        },
    ),
    (
        "nv_inference_count",
        "Inferences that the model made; a batch of 8 is 8, an answer out of the cache none",
        {"": lambda model: model.inferences},
    ),
    ("nv_inference_exec_count", "Batches that the model worked on", {"": lambda model: model.executions}),
    (
        "nv_inference_request_duration_us",
        "Time in inference requests, microseconds",
        {"": lambda model: round(model.times.seconds * 1e6)},
    ),
    (
        "nv_inference_queue_duration_us",
        "Time that requests waited for the model, microseconds",
        {"": lambda model: round(model.queue_s * 1e6)},
    ),
    (
        "nv_inference_compute_input_duration_us",
        "Time before the model worked on requests, microseconds: none, tensors are views",
        {"": lambda model: 0},
    ),
    (
        "nv_inference_compute_output_duration_us",
        "Time between the model's work and an answer, microseconds: none, as before it",
        {"": lambda model: 0},
    ),
    (
        "nv_inference_compute_infer_duration_us",
        "Time that the model worked on requests, microseconds",
        {"": lambda model: round(model.compute_s * 1e6)},
    ),
    (
        "nv_cache_num_hits_per_model",
        "Requests whose answer was there, or under way for another",
        {"": lambda model: model.hits},
    ),
    ("nv_cache_num_misses_per_model", "Requests whose answer was not", {"": lambda model: model.misses}),
)
# Reading, name, what one of its units is in the metric's, help.
_READINGS: Tuple[Tuple[str, str, float, str], ...] = (
    ("system_cpu_percent", "nv_cpu_utilization", 0.01, "Load of all processors, 0 to 1"),
    ("memory_total_mb", "nv_cpu_memory_total_bytes", _MIB, "Memory of the machine"),
    ("memory_used_mb", "nv_cpu_memory_used_bytes", _MIB, "Memory of the machine in use"),
    ("memory_available_mb", "edgeai_memory_available_bytes", _MIB, "Memory that is free for the asking"),
    ("pss_mb", "edgeai_process_pss_bytes", _MIB, "Memory of this process, of what it shares its part alone"),
    ("gpu_percent", "nv_gpu_utilization", 0.01, "Load of the first GPU, 0 to 1"),
    ("gpu_memory_total_mb", "nv_gpu_memory_total_bytes", _MIB, "Memory of the first GPU"),
    ("gpu_memory_used_mb", "nv_gpu_memory_used_bytes", _MIB, "Memory of the first GPU in use"),
    ("gpu_mhz", "edgeai_gpu_clock_hertz", 1e6, "Clock of the first GPU"),
    ("cpu_mhz", "edgeai_cpu_clock_hertz", 1e6, "Clock of the first processor core"),
    ("disk_total_mb", "edgeai_disk_size_bytes", _MIB, "Size of the disk that models are stored on"),
    ("disk_free_mb", "edgeai_disk_free_bytes", _MIB, "Room on it"),
    ("wear_percent", "edgeai_flash_wear_ratio", 0.01, "Used part of its flash's lifetime, at most"),
    (
        "reserve_used_percent",
        "edgeai_flash_reserve_used_ratio",
        0.01,
        "Used part of its flash's spare blocks",
    ),
    ("temperature_c", "edgeai_temperature_celsius", 1, "The hottest sensor"),
    ("temperature_margin_c", "edgeai_temperature_margin_celsius", 1, "Until the machine slows itself down"),
    ("throttled", "edgeai_throttled", 1, "1 while the machine slows itself down"),
    ("under_voltage", "edgeai_under_voltage", 1, "1 while the supply voltage is too low"),
    ("pressure", "edgeai_pressure", 1, "What batch and concurrency limits are multiplied with, for the heat"),
)


class Kept(Protocol):
    """What the cache of answers tells of itself; sizes in bytes."""

    size: int
    limit: int
    evictions: int


def render(
    snapshot: Snapshot,
    generation: int,
    readings: Optional[Mapping[str, Optional[float]]] = None,
    alarms: Optional[Mapping[str, bool]] = None,
    cache: Optional[Kept] = None,
) -> str:
    """All metrics of one serving process; `generation` is its number, `alarms` says by name which stand.
    What there is no reading of is left out."""
    lines: List[str] = []
    for name, text, samples in _PER_MODEL:
        lines += _about(name, "counter", text)
        for labels, value in samples.items():
            lines += [f"{name}{{{of}{labels}}} {value(counts)}" for of, counts in _models(snapshot)]
    lines += _about(_DURATION, "histogram", "Time to answer an inference request")
    for of, counts in _models(snapshot):
        lines += _histogram(of, counts)
    lines += _about("edgeai_model_info", "gauge", "1, with the execution provider that runs the model")
    lines += [f'edgeai_model_info{{{of},provider="{counts.provider}"}} 1' for of, counts in _models(snapshot)]
    lines += _about("nv_inference_pending_request_count", "gauge", "Requests that wait for the model")
    lines += [
        f"nv_inference_pending_request_count{{{of}}} {counts.pending()}" for of, counts in _models(snapshot)
    ]
    for quantile, milliseconds in (("p50", snapshot.p50_ms), ("p99", snapshot.p99_ms)):
        if milliseconds is not None:
            text = f"Time to answer an inference request, {quantile} of the last minute"
            lines += _gauge(f"edgeai_request_seconds_{quantile}", text, milliseconds / 1000)
    lines += _gauge("edgeai_requests_in_flight", "Inference requests not answered yet", snapshot.in_flight)
    lines += _gauge("edgeai_cpu_percent", "CPU use in percent of one core", snapshot.cpu_percent)
    lines += _gauge("process_resident_memory_bytes", "Resident memory", round(snapshot.rss_mb * _MIB))
    lines += _gauge("edgeai_generation", "Number of the generation that answers", generation)
    if cache is not None:
        lines += _gauge("edgeai_cache_bytes", "Answers that are kept, with their questions", cache.size)
        lines += _gauge("edgeai_cache_limit_bytes", "How much may be kept", cache.limit)
        lines += _about("edgeai_cache_evictions", "counter", "Answers that made room for others")
        lines.append(f"edgeai_cache_evictions {cache.evictions}")
    for reading, name, factor, text in _READINGS:
        figure = (readings or {}).get(reading)
        if figure is not None:
            lines += _gauge(name, text, figure * factor)
    if alarms:
        lines += _about("edgeai_alarm", "gauge", "1 while the alarm stands")
        lines += [f'edgeai_alarm{{alarm="{_escaped(name)}"}} {stands:d}' for name, stands in alarms.items()]
    return "\n".join(lines) + "\n"


def _models(snapshot: Snapshot) -> List[Tuple[str, ModelCounts]]:
    return [
        (f'model="{_escaped(name)}",version="{_escaped(counts.version)}"', counts)
        for name, counts in snapshot.models.items()
    ]


def _histogram(of: str, counts: ModelCounts) -> List[str]:
    bounds = [f"{bound:g}" for bound in BOUNDS]
    cumulated = list(accumulate(counts.times.counts))
    lines = [
        f'{_DURATION}_bucket{{{of},le="{bound}"}} {count}'
        for bound, count in zip([*bounds, "+Inf"], cumulated)
    ]
    lines.append(f"{_DURATION}_sum{{{of}}} {counts.times.seconds:.6f}")
    lines.append(f"{_DURATION}_count{{{of}}} {cumulated[-1]}")
    return lines


def _about(name: str, kind: str, text: str) -> List[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _gauge(name: str, text: str, value: float) -> List[str]:
    return [*_about(name, "gauge", text), f"{name} {value:.12g}"]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
