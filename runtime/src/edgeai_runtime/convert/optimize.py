"""Offline graph optimisation by onnxruntime: fused once here, not at every start."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnxruntime

_LEVELS = ("ORT_ENABLE_EXTENDED", "ORT_ENABLE_BASIC")


def optimize(source: Path, target: Path) -> str:
    """Write `source` optimised to `target`; returns the level used.

    The hardware's own layouts (ORT_ENABLE_ALL) are left to the start of serving: they cost no more
    there, and a file without them still loads after the environment changed. A level whose result
    does not load on this machine is not used; at worst `target` is a copy ("none").
    """
    for level in _LEVELS:
        try:
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
            options.optimized_model_filepath = str(target)
            onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
            onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
            return level
        except Exception:  # noqa: BLE001, S112 - pybind's share no base but this; the next level decides
            continue
    shutil.copyfile(source, target)
    return "none"
