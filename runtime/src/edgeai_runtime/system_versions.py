"""Versions of what the system brings for its accelerator and no environment holds: L4T, CUDA, TensorRT.

They are part of a generation: what was converted and measured with one of them was not with another.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict

NAMES = {"l4t": "L4T", "cuda": "CUDA", "tensorrt": "TensorRT"}
# A shared library's file has its whole version in its name.
_LIBRARIES = {
    "cuda": "usr/local/cuda/lib64/libcudart.so.*",
    "tensorrt": "usr/lib/*-linux-gnu/libnvinfer.so.*",
}


def system_versions(system: Path = Path("/")) -> Dict[str, str]:
    """What there is of "l4t" ("36.4.3"), "cuda" and "tensorrt" ("10.3.0"); empty where nothing is."""
    found = {"l4t": _l4t(system / "etc" / "nv_tegra_release")}
    for name, pattern in _LIBRARIES.items():
        versions = [path.name.split(".so.")[1] for path in sorted(system.glob(pattern))]
        found[name] = max(versions, key=len, default="")  # beside the whole one stand its abbreviations
    return {name: version for name, version in found.items() if version}


def _l4t(release: Path) -> str:
    """ "# R36 (release), REVISION: 4.3, …" is 36.4.3."""
    try:
        text = release.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.match(r"# R(\d+) \(release\), REVISION: ([\d.]+)", text)
    return f"{found[1]}.{found[2]}" if found else ""
