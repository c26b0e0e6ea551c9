"""NVIDIA's management library, where its driver brought it.

https://docs.nvidia.com/deploy/nvml-api: called through ctypes, so that nothing has to be installed for it.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int, c_uint, c_ulonglong, c_void_p, create_string_buffer
from typing import Any, Dict, Optional

LIBRARY = "libnvidia-ml.so.1"
_GRAPHICS_CLOCK = 0
_LONGEST_NAME = 96  # NVML_DEVICE_NAME_V2_BUFFER_SIZE, with its end
# HwSlowdown, SwThermalSlowdown, HwThermalSlowdown, HwPowerBrakeSlowdown
_SLOWDOWNS = 0x8 | 0x20 | 0x40 | 0x80


class _Utilization(ctypes.Structure):
    _fields_ = (("gpu", c_uint), ("memory", c_uint))


class _Memory(ctypes.Structure):
    _fields_ = (("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong))


class Nvml:
    """The first GPU."""

    def __init__(self, library: Any, device: c_void_p) -> None:
        self._library = library
        self._device = device

    @classmethod
    def open(cls, library: Any = None) -> Optional[Nvml]:
        """None where there is no library, or no GPU that this user may ask."""
        device = c_void_p()
        try:
            library = library or ctypes.CDLL(LIBRARY)
            if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByIndex_v2(c_uint(0), byref(device)):
                return None
        except (OSError, AttributeError):
            return None
        return cls(library, device)

    def take(self) -> Dict[str, Optional[float]]:
        """See gpu.Gpu.take; what this GPU does not tell is None."""
        use, memory, clock, reasons = _Utilization(), _Memory(), c_uint(), c_ulonglong()
        told = self._ask("nvmlDeviceGetUtilizationRates", byref(use))
        told_memory = self._ask("nvmlDeviceGetMemoryInfo", byref(memory))
        told_clock = self._ask("nvmlDeviceGetClockInfo", c_uint(_GRAPHICS_CLOCK), byref(clock))
        told_reasons = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", byref(reasons))
        return {
            "gpu_percent": float(use.gpu) if told else None,
            "gpu_mhz": float(clock.value) if told_clock else None,
            "gpu_memory_used_mb": round(memory.used / (1 << 20), 1) if told_memory else None,
            "gpu_memory_total_mb": round(memory.total / (1 << 20), 1) if told_memory else None,
            "gpu_throttled": bool(reasons.value & _SLOWDOWNS) if told_reasons else None,
        }

    def identity(self) -> Dict[str, str]:
        """`name`, `compute_capability` ("8.6") and the `driver`'s version, as far as it tells."""
        name, driver = create_string_buffer(_LONGEST_NAME), create_string_buffer(_LONGEST_NAME)
        major, minor = c_int(), c_int()
        size = c_uint(_LONGEST_NAME)
        told = {}
        if self._ask("nvmlDeviceGetName", name, size):
            told["name"] = name.value.decode(errors="replace")
        if self._ask("nvmlDeviceGetCudaComputeCapability", byref(major), byref(minor)):
            told["compute_capability"] = f"{major.value}.{minor.value}"
        if self._library.nvmlSystemGetDriverVersion(driver, size) == 0:
            told["driver"] = driver.value.decode(errors="replace")
        return told

    def power_limit(self) -> Optional[str]:
        """What the GPU may draw, e.g. "70 W"."""
        milliwatts = c_uint()
        told = self._ask("nvmlDeviceGetPowerManagementLimit", byref(milliwatts))
        return f"{milliwatts.value / 1000:g} W" if told else None

    def _ask(self, function: str, *arguments: Any) -> bool:
        """Whether it was answered; 0 is NVML_SUCCESS."""
        return bool(getattr(self._library, function)(self._device, *arguments) == 0)
