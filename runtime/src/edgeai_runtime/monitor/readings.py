"""What the machine tells of itself, by name; None where it tells nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Mapping, Optional

from edgeai_runtime.monitor.gpu import Gpu
from edgeai_runtime.monitor.memory import memory
from edgeai_runtime.monitor.processor import Processors
from edgeai_runtime.monitor.storage import storage
from edgeai_runtime.monitor.temperature import Thermometers
from edgeai_runtime.monitor.throttling import Throttling

Readings = Dict[str, Optional[float]]

# Every figure that an alarm may be about, and how a sentence says it. The last are of the service.
SAID: Mapping[str, str] = {
    "system_cpu_percent": "The processors are busy to {:g} %",
    "cpu_mhz": "The processor's clock is {:g} MHz",
    "rss_mb": "The serving process has {:g} MiB resident",
    "pss_mb": "The serving process needs {:g} MiB",
    "memory_total_mb": "The memory has {:g} MiB",
    "memory_used_mb": "{:g} MiB of memory are in use",
    "memory_available_mb": "{:g} MiB of memory are available",
    "memory_available_percent": "{:g} % of the memory are available",
    "disk_total_mb": "The disk has {:g} MiB",
    "disk_free_mb": "{:g} MiB are free on the disk",
    "disk_used_percent": "The disk is full to {:g} %",
    "wear_percent": "The flash is worn to {:g} %",
    "reserve_used_percent": "{:g} % of the flash's spare blocks are used",
    "temperature_c": "The temperature is {:g} °C",
    "temperature_margin_c": "The machine is {:g} °C from slowing itself down",
    "throttled": "The machine slows itself down",
    "under_voltage": "The supply voltage is too low",
    "gpu_percent": "The GPU is busy to {:g} %",
    "gpu_mhz": "The GPU's clock is {:g} MHz",
    "gpu_memory_used_mb": "{:g} MiB of the GPU's memory are used",
    "gpu_memory_total_mb": "The GPU's memory has {:g} MiB",
    "error_percent": "{:g} % of the last minute's requests failed",
    "requests_per_s": "{:g} requests come each second",
    "pressure": "Limits are down to {:g} of what is set, for the heat",
}


class Machine:
    """Takes readings. Some are over the time since the last look, so that one Machine is kept."""

    def __init__(self, directory: Path, root: Path = Path("/")) -> None:
        """`directory` lies on the disk that matters; `root` is where /proc and /sys are found."""
        self._directory = directory
        self._root = root
        self._processors = Processors(root)
        self._thermometers = Thermometers(root)
        self._throttling = Throttling(root)
        self._gpu = Gpu(root)

    def take(self) -> Readings:
        """All of SAID that are the machine's; flags are true or false. Blocks for milliseconds."""
        gpu, throttling = self._gpu.take(), self._throttling.take()
        slowed = [told for told in (throttling["throttled"], gpu.pop("gpu_throttled")) if told is not None]
        return {
            **self._processors.take(),
            **memory(self._root),
            **storage(self._directory, self._root),
            **self._thermometers.take(),
            **throttling,
            **gpu,
            "throttled": any(slowed) if slowed else None,
        }

    def power_mode(self) -> Optional[str]:
        """The name of a Jetson's power mode, the limit in watts of a PC's GPU."""
        return self._gpu.power_mode()
