"""What a conversion depends on. Equal fingerprint, equal work: it is not done twice."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, Dict

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.release import Recipe, Release
from edgeai_runtime.system_versions import system_versions

# Raised whenever this package converts or measures differently.
CONVERTER_VERSION = 2

_CPUINFO = Path("/proc/cpuinfo")
# x86 says "model name" and "flags"; arm64 says who made which part, and "Features".
_IDENTITY_KEYS = ("vendor_id", "model name", "CPU implementer", "CPU architecture", "CPU variant", "CPU part")
_FLAG_KEYS = ("flags", "Features")


def cpu() -> Dict[str, Any]:
    """The first core: {"model": text, "flags": sorted list}; what a kernel can be tuned to."""
    found: Dict[str, str] = {}
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    for line in text.splitlines():
        key, _colon, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    model = " ".join(found[key] for key in _IDENTITY_KEYS if found.get(key))
    flags = next((found[key] for key in _FLAG_KEYS if key in found), "")
    return {"model": model or platform.processor() or "unknown", "flags": sorted(flags.split())}


def inputs(release: Release, recipe: Recipe, execution: Execution) -> Dict[str, Any]:
    """Everything that may change the artifact or its figures, as JSON.

    The release's name and version are not in it: a new version with the same model is not converted anew.
    """
    return {
        "converter": CONVERTER_VERSION,
        "model": release.model.sha256,
        "labels": release.labels.sha256 if release.labels else None,
        "pipeline": {"pre": [dict(op) for op in release.pipeline.pre], "post": list(release.pipeline.post)},
        "recipe": asdict(recipe),
        "threads": execution.threads,
        "providers": list(execution.providers),
        # Without quantization to static ranges no calibration image is looked at.
        "calibration": [s.sha256 for s in release.sets.calibration] if recipe.quantize == "static" else [],
        "selection": [[sample.sha256, sample.expect] for sample in release.sets.selection],
        "packages": {name: _version(name) for name in ("numpy", "onnx", "onnxruntime", "pillow")},
        "platform": system_versions(),
        "architecture": platform.machine(),
        "cpu": cpu(),
    }


def _version(package: str) -> str:
    """The version of a package, which for a GPU has another name and the same content."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return f"gpu {metadata.version(f'{package}-gpu')}"


def digest(inputs: Dict[str, Any]) -> str:
    """The fingerprint: sha256 over the inputs as canonical JSON."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
