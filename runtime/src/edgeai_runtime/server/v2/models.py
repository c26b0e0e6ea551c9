"""What a model says of itself: metadata, and its configuration and statistics in Triton's terms."""

from __future__ import annotations

from typing import Any, Dict

from edgeai_runtime.backends.base import TensorSpec
from edgeai_runtime.monitor.counts import ModelCounts
from edgeai_runtime.serving.batching import Batching
from edgeai_runtime.serving.model import Model


def metadata(model: Model) -> Dict[str, Any]:
    """What a model takes and gives when it is sent tensors."""
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": f"{model.engine}_onnx",
        "inputs": [_describe(spec) for spec in model.inputs],
        "outputs": [_describe(spec) for spec in model.outputs],
    }


def config(model: Model, batching: Batching, cached: bool) -> Dict[str, Any]:
    """The ModelConfig message in JSON, as far as it applies; `cached`: whether answers are kept
    (https://github.com/triton-inference-server/common, protobuf/model_config.proto).
    """
    batched = batching.max_batch_size > 1
    kind = "KIND_GPU" if model.provider == "cuda" else "KIND_CPU"
    told = {
        "name": model.name,
        "platform": f"{model.engine}_onnx",
        "backend": model.engine,
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": batching.max_batch_size if batched else 0,
        "input": [_tensor(spec, batched) for spec in model.inputs],
        "output": [_tensor(spec, batched) for spec in model.outputs],
        "response_cache": {"enable": cached},
        "instance_group": [{"name": model.name, "kind": kind, "count": 1}],
        "parameters": {
            "batching": {"string_value": batching.why},
            "provider": {"string_value": model.provider},
            "threads": {"string_value": str(model.threads)},
        },
    }
    if batched:
        wishes = batching.wishes
        told["dynamic_batching"] = {
            "preferred_batch_size": list(wishes.preferred_batch_sizes),
            "max_queue_delay_microseconds": wishes.max_queue_delay_us,
            "priority_levels": wishes.priority_levels if wishes.priority_levels > 1 else 0,
            "default_priority_level": wishes.default_priority if wishes.priority_levels > 1 else 0,
            "default_queue_policy": {
                "timeout_action": wishes.timeout_action.upper(),
                "default_timeout_microseconds": wishes.timeout_us,
                "max_queue_size": wishes.queue_size,
            },
        }
    return told


def statistics(name: str, counts: ModelCounts) -> Dict[str, Any]:
    """A model_stat object of GET /v2/models/stats, durations in nanoseconds.

    Nothing is done to tensors before and after the model; NVIDIA's perf_analyzer takes no other count of it
    than the model's.
    """
    return {
        "name": name,
        "version": counts.version,
        "last_inference": counts.last_ms,
        "inference_count": counts.inferences,
        "execution_count": counts.executions,
        "inference_stats": {
            "success": _duration(counts.succeeded, counts.success_s),
            "fail": _duration(counts.refused + counts.failed, counts.times.seconds - counts.success_s),
            "queue": _duration(counts.succeeded, counts.queue_s),
            "compute_input": _duration(counts.computed, 0.0),
            "compute_infer": _duration(counts.computed, counts.compute_s),
            "compute_output": _duration(counts.computed, 0.0),
            "cache_hit": _duration(counts.hits, 0.0),
            "cache_miss": _duration(counts.misses, 0.0),
        },
        "batch_stats": [
            {
                "batch_size": rows,
                "compute_input": _duration(int(count), 0.0),
                "compute_infer": _duration(int(count), seconds),
                "compute_output": _duration(int(count), 0.0),
            }
            for rows, (count, seconds) in sorted(counts.batches.items())
        ],
    }


def _duration(count: int, seconds: float) -> Dict[str, int]:
    return {"count": count, "ns": round(seconds * 1e9)}


def _describe(spec: TensorSpec) -> Dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _tensor(spec: TensorSpec, batched: bool) -> Dict[str, Any]:
    """Of a model that is batched the first dimension goes without saying."""
    kind = "STRING" if spec.datatype == "BYTES" else spec.datatype
    return {"name": spec.name, "data_type": f"TYPE_{kind}", "dims": list(spec.shape[1 if batched else 0 :])}
