"""Memory: of this process, and of the machine. All in MiB."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Dict, Optional

from edgeai_runtime.monitor.sysfs import read_int, read_text

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_mb(root: Path = Path("/"), process: str = "self") -> float:
    """What of this process, or another, lies in memory now; 0 where /proc does not tell."""
    text = read_text(root / "proc" / process / "statm")
    return round(int(text.split()[1]) * _PAGE / (1 << 20), 1) if text else 0.0


def forget_peak() -> None:
    """Count `peak_mb` from now on, where the kernel lets (https://docs.kernel.org/filesystems/proc.html,
    "clear_refs")."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb(root: Path = Path("/")) -> float:
    """The most of this process that lay in memory since `forget_peak`; 0 where /proc does not tell."""
    return _table(read_text(root / "proc/self/status")).get("VmHWM") or 0.0


def free_mb(root: Path = Path("/")) -> Optional[float]:
    """What this process may still have, of the machine's memory and of the limits of its control groups
    (https://docs.kernel.org/admin-guide/cgroup-v2.html, "Memory"); None where /proc does not tell."""
    free = _table(read_text(root / "proc/meminfo")).get("MemAvailable")
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        if free is not None and line.startswith("0::/"):
            group = root / "sys/fs/cgroup" / line[len("0::/") :]
            for limited in (group, *group.parents):
                free = min(free, _left_mb(limited, free))
    return free


def _left_mb(group: Path, otherwise: float) -> float:
    """Of a control group's limit, cached files not counted; `otherwise` where it has none."""
    limit, current = read_int(group / "memory.max"), read_int(group / "memory.current")
    if limit is None or current is None:
        return otherwise
    words = (read_text(group / "memory.stat") or "").split()
    cached = int(words[words.index("inactive_file") + 1]) if "inactive_file" in words else 0
    return max(0.0, (limit - current + cached) / (1 << 20))


def memory(root: Path = Path("/")) -> Dict[str, Optional[float]]:
    """`rss_mb` and `pss_mb` of this process, in the latter of what it shares its part alone (None before
    Linux 4.14); `memory_total_mb` and what is free for the asking, also in percent."""
    system = _table(read_text(root / "proc/meminfo"))
    total, available = system.get("MemTotal"), system.get("MemAvailable")
    return {
        "rss_mb": resident_mb(root) or None,
        "pss_mb": _table(read_text(root / "proc/self/smaps_rollup")).get("Pss"),
        "memory_total_mb": total,
        "memory_used_mb": round(total - available, 1) if total and available else None,
        "memory_available_mb": available,
        "memory_available_percent": round(100 * available / total, 1) if total and available else None,
    }


def _table(text: Optional[str]) -> Dict[str, float]:
    """Lines such as "MemTotal:  3884 kB" in MiB."""
    found = {}
    for line in (text or "").splitlines():
        name, _colon, value = line.partition(":")
        if value.endswith(" kB"):
            found[name] = round(int(value.split()[0]) / 1024, 1)
    return found
