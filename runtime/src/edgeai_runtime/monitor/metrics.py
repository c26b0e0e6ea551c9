"""A snapshot as Prometheus text (https://prometheus.io/docs/instrumenting/exposition_formats).

`nv_inference_*` mean what Triton means by them, so that dashboards made for it work.
"""

from __future__ import annotations

from typing import Callable, List, Tuple

from edgeai_runtime.monitor.sampler import ModelCounts, Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SUCCESS, _FAILURE = "nv_inference_request_success", "nv_inference_request_failure"
# Name, further labels, value.
_PER_MODEL: Tuple[Tuple[str, str, Callable[[ModelCounts], int]], ...] = (
    (_SUCCESS, "", lambda model: model.succeeded),
    (_FAILURE, ',reason="BACKEND"', lambda model: model.failed),
    (_FAILURE, ',reason="REJECTED"', lambda model: model.refused),
    ("nv_inference_request_duration_us", "", lambda model: round(model.seconds * 1e6)),
)
_HELP = {
    _SUCCESS: "Inference requests answered with a result",
    _FAILURE: "Inference requests answered with an error: of the model, or of the client",
    "nv_inference_request_duration_us": "Time in inference requests, microseconds",
}


def render(snapshot: Snapshot, generation: int) -> str:
    """All metrics of one serving process; `generation` is its number."""
    lines: List[str] = []
    for name, labels, value in _PER_MODEL:
        if f"# TYPE {name} counter" not in lines:
            lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} counter"]
        for model, counts in snapshot.models.items():
            about = f'model="{_escaped(model)}",version="{_escaped(counts.version)}"{labels}'
            lines.append(f"{name}{{{about}}} {value(counts)}")
    for quantile, milliseconds in (("p50", snapshot.p50_ms), ("p99", snapshot.p99_ms)):
        if milliseconds is not None:
            text = f"Time to answer an inference request, {quantile} of the last minute"
            lines += _gauge(f"edgeai_request_seconds_{quantile}", text, f"{milliseconds / 1000:.6g}")
    lines += _gauge("edgeai_requests_in_flight", "Inference requests not answered yet", snapshot.in_flight)
    lines += _gauge("edgeai_cpu_percent", "CPU use in percent of one core", snapshot.cpu_percent)
    resident = round(snapshot.rss_mb * (1 << 20))
    lines += _gauge("process_resident_memory_bytes", "Resident memory", resident)
    lines += _gauge("edgeai_generation", "Number of the generation that answers", generation)
    return "\n".join(lines) + "\n"


def _gauge(name: str, text: str, value: object) -> List[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} gauge", f"{name} {value}"]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
