"""The GPU of a Jetson, as its kernel tells it; of a PC, as NVIDIA's driver does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Optional

from edgeai_runtime.monitor.nvml import Nvml
from edgeai_runtime.monitor.sysfs import read_int, read_text

_NONE: Dict[str, Optional[float]] = dict.fromkeys(
    ("gpu_percent", "gpu_mhz", "gpu_memory_used_mb", "gpu_memory_total_mb", "gpu_throttled")
)
_LOAD = ("sys/devices/gpu.0/load", "sys/devices/platform/gpu.0/load", "sys/devices/platform/*/*.gpu/load")
# By the names of the chips: Nano, TX2, Xavier, Orin with JetPack 5; all with JetPack 6.
_CLOCK = re.compile(r"\.(gm20b|gp10b|gv11b|ga10b|gpu)$")


class Gpu:
    """The first GPU of the machine; all figures are None without one."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._load = next((path for pattern in _LOAD for path in root.glob(pattern)), None)
        self._clock = next(
            (path for path in root.glob("sys/class/devfreq/*") if _CLOCK.search(path.name)), None
        )
        driver = root / "proc/driver/nvidia/version"
        self._nvml = Nvml.open() if self._load is None and driver.exists() else None

    def take(self) -> Dict[str, Optional[float]]:
        """`gpu_percent`: load; `gpu_mhz`: clock; memory in MiB; `gpu_throttled`: for heat or power."""
        if self._nvml is not None:
            return self._nvml.take()
        load = read_int(self._load) if self._load else None
        hertz = read_int(self._clock / "cur_freq") if self._clock else None
        told = {
            "gpu_percent": None if load is None else load / 10,  # it is told in tenths
            "gpu_mhz": None if hertz is None else hertz / 1e6,
        }
        return {**_NONE, **told}

    def identity(self) -> Dict[str, str]:
        """Which GPU it is and who drives it; nothing without one.

        A Jetson's is part of its chip ("tegra234"), and its driver of L4T, which is told elsewhere.
        """
        if self._nvml is not None:
            return self._nvml.identity()
        compatible = read_text(self._root / "sys/firmware/devicetree/base/compatible") or ""
        chip = re.search(r"nvidia,(tegra\d+)", compatible)
        return {"name": chip[1]} if chip else {}

    def power_mode(self) -> Optional[str]:
        """The mode that nvpmodel set last ("pmode:0002"), by its name in nvpmodel.conf; on a PC the limit."""
        if self._nvml is not None:
            return self._nvml.power_limit()
        status = read_text(self._root / "var/lib/nvpmodel/status") or ""
        number = re.search(r"pmode:0*(\d+)", status)
        if number is None:
            return None
        known = read_text(self._root / "etc/nvpmodel.conf") or ""
        name = re.search(rf"^<\s*POWER_MODEL\s+ID={number[1]}\s+NAME=(\S+)", known, re.MULTILINE)
        return name[1] if name else number[1]
