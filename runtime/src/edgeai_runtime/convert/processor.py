"""The processor, as far as a kernel can be tuned to it."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any, Collection, Dict

_CPUINFO = Path("/proc/cpuinfo")
# x86 says "model name" and "flags"; arm64 says who made which part, and "Features".
_IDENTITY_KEYS = ("vendor_id", "model name", "CPU implementer", "CPU architecture", "CPU variant", "CPU part")
_FLAG_KEYS = ("flags", "Features")


def cpu() -> Dict[str, Any]:
    """The first core: {"model": text, "flags": sorted list}."""
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


def saturates(flags: Collection[str]) -> bool:
    """Whether products of two eight-bit numbers do: x86 without VNNI adds two of them in 16 bits."""
    x86 = "sse2" in flags
    return x86 and not any("vnni" in flag or flag.startswith("amx_int8") for flag in flags)
