"""Room on the file system of a directory, and how worn the flash under it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, Optional

from edgeai_runtime.monitor.sysfs import read_int, read_text

# PRE_EOL_INFO of JEDEC JESD84-B51, 7.4.31: percent of the reserve blocks that are used up, at least.
_RESERVE_USED = {1: 0.0, 2: 80.0, 3: 90.0}


def storage(directory: Path, root: Path = Path("/")) -> Dict[str, Optional[float]]:
    """Of the file system `directory` lies on: size and what an ordinary user may still write, in MiB.

    `wear_percent`: the most that an eMMC's lifetime may be used up, in steps of 10 (110: beyond it);
    `reserve_used_percent`: of its spare blocks. None for what tells neither, as SD cards do.
    """
    try:
        room, device = os.statvfs(directory), directory.stat().st_dev
    except OSError:
        return dict.fromkeys(
            ("disk_total_mb", "disk_free_mb", "disk_used_percent", "wear_percent", "reserve_used_percent")
        )
    # As df(1) counts: blocks kept for root are neither used nor free.
    used, free = room.f_blocks - room.f_bfree, room.f_bavail
    card = _card(root, f"{os.major(device)}:{os.minor(device)}")
    return {
        "disk_total_mb": round(room.f_blocks * room.f_frsize / (1 << 20), 1),
        "disk_free_mb": round(free * room.f_frsize / (1 << 20), 1),
        "disk_used_percent": round(100 * used / (used + free), 1) if used + free else None,
        "wear_percent": _wear(card),
        "reserve_used_percent": _RESERVE_USED.get(read_int(card / "pre_eol_info", 16) or 0),
    }


def _card(root: Path, device: str) -> Path:
    """The directory that sysfs has for the drive `device` ("179:2") is a part of."""
    block = (root / "sys/dev/block" / device).resolve()
    return (block.parent if (block / "partition").exists() else block) / "device"


def _wear(card: Path) -> Optional[float]:
    """DEVICE_LIFE_TIME_EST of JESD84-B51, 7.4.32: 1 is up to 10 %, 11 beyond the end, 0 not defined."""
    text = read_text(card / "life_time")
    try:
        return max(int(part, 16) for part in (text or "").split()) * 10.0 or None
    except ValueError:
        return None
