"""The machine that figures were measured on, in words."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Dict


def machine() -> Dict[str, str]:
    """What to say beside a figure."""
    memory = int(_found(r"^MemTotal: +(\d+) kB", "/proc/meminfo") or 0) * 1024
    return {
        "processor": _found(r"^(?:model name|Model)\s*: (.+)$", "/proc/cpuinfo") or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory / 1e9:.0f} GB",
        "system": _found(r'^PRETTY_NAME="(.+)"', "/etc/os-release") or platform.system(),
        "kernel": platform.release(),
    }


def _found(pattern: str, file: str) -> str:
    path = Path(file)
    match = re.search(pattern, path.read_text(), re.MULTILINE) if path.exists() else None
    return match[1].strip() if match else ""
