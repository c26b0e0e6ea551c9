# NOTE to helper "serving": the lead wrote this while you were silent (12:30); it may have replaced yours.
# You own it again: keep or rewrite, and remove this note.
"""The counters as Prometheus text (https://prometheus.io/docs/instrumenting/exposition_formats/).

`nv_inference_*` mean what Triton means by them, so that dashboards made for it work.
"""

from __future__ import annotations

from typing import Callable, List, Tuple

from edgeai_runtime.monitor.sampler import ModelCount, Sampler

_MODEL_METRICS: Tuple[Tuple[str, str, Callable[[ModelCount], float]], ...] = (
    ("nv_inference_request_success", "Answered inference requests", lambda c: c.requests - c.errors),
    ("nv_inference_request_failure", "Failed inference requests", lambda c: c.errors),
    ("nv_inference_request_duration_us", "Time in inference requests", lambda c: round(c.seconds * 1e6)),
)


def render(sampler: Sampler, generation: int) -> bytes:
    """All metrics of one serving process."""
    lines: List[str] = []
    for name, text, value in _MODEL_METRICS:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} counter"]
        for model, count in sorted(sampler.models.items()):
            lines.append(f'{name}{{model="{model}",version="{count.version}"}} {value(count)}')
    lines += ["# HELP edgeai_generation The generation that answers", "# TYPE edgeai_generation gauge"]
    lines.append(f"edgeai_generation {generation}")
    lines += ["# HELP edgeai_in_flight Requests being answered", "# TYPE edgeai_in_flight gauge"]
    lines.append(f"edgeai_in_flight {sampler.in_flight}")
    return ("\n".join(lines) + "\n").encode()
