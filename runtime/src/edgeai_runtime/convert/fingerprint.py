"""What a conversion depends on. Equal fingerprint, equal work: it is not done twice."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from importlib import metadata
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.convert.processor import cpu
from edgeai_runtime.monitor.gpu import Gpu
from edgeai_runtime.monitor.memory import memory
from edgeai_runtime.release import Recipe, Release
from edgeai_runtime.release.recipe import AUTO
from edgeai_runtime.system_versions import system_versions

# Raised whenever this package converts or measures differently.
CONVERTER_VERSION = 3
LONG = 70  # characters that a person reads


def inputs(release: Release, recipe: Recipe, execution: Execution, most_threads: int) -> Dict[str, Any]:
    """Everything that may change the artifact or its figures, as JSON.

    The release's name and version are not in it: a new version with the same model is not converted anew.
    """
    return {
        "converter": CONVERTER_VERSION,
        "model": release.model.sha256,
        "labels": release.labels.sha256 if release.labels else None,
        "pipeline": {"pre": [dict(op) for op in release.pipeline.pre], "post": list(release.pipeline.post)},
        "recipe": recipe.to_json(),
        "threads": execution.threads,
        "most_threads": most_threads,
        "providers": list(execution.providers),
        # Without quantization to static ranges no calibration sample is looked at.
        "calibration": [s.sha256 for s in release.sets.calibration]
        if recipe.quantize == "static" or recipe.strategy == AUTO
        else [],
        "quality": release.quality,
        **({"required": release.gates[release.quality]} if recipe.strategy == AUTO else {}),
        "selection": [[sample.sha256, sample.expect] for sample in release.sets.selection],
        "golden": [sample.sha256 for sample in release.sets.golden],
        "packages": {name: _version(name) for name in ("numpy", "onnx", "onnxruntime", "pillow")},
        "tensorrt": _installed("tensorrt"),
        "memory_gb": _memory_class(),
        "platform": system_versions(),
        "architecture": platform.machine(),
        "cpu": cpu(),
        "gpu": Gpu().identity(),
    }


def _version(package: str) -> str:
    """The version of a package, which for a GPU has another name and the same content."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return f"gpu {metadata.version(f'{package}-gpu')}"


def _installed(package: str) -> Optional[str]:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _memory_class() -> Optional[int]:
    """The machine's memory, as it is sold: 1, 2, 4, 8 … GB."""
    total = memory()["memory_total_mb"]
    return None if total is None else 1 << max(0, round(math.log2(total / 1024)))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Dict[str, Tuple[str, str]]:
    """What is not the same in two inputs, field by field: what it was, and is, in a few words."""
    before, after = dict(_fields(old)), dict(_fields(new))
    return {
        field: (before.get(field, "nothing"), after.get(field, "nothing"))
        for field in sorted({*before, *after})
        if before.get(field) != after.get(field)
    }


def _fields(table: Mapping[str, Any], above: str = "") -> Iterator[Tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _fields(value, f"{above}{key}.")
            continue
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        if len(text) > LONG:  # a set of samples, the flags of a processor
            count = f"{len(value)} of them, " if isinstance(value, list) else ""
            text = f"{count}sha256 {hashlib.sha256(text.encode()).hexdigest()[:12]}…"
        yield f"{above}{key}", text


def digest(inputs: Dict[str, Any]) -> str:
    """The fingerprint: sha256 over the inputs as canonical JSON."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
