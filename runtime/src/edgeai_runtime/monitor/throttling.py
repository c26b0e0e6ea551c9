"""Whether the machine slows itself down, and whether its supply holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Optional

from edgeai_runtime.monitor.sysfs import read_int, read_text

# https://www.raspberrypi.com/documentation/computers/os.html#get_throttled; the bits for "since boot" are no
# help: the kernel has the firmware forget them every 2 s.
_UNDER_VOLTAGE = 1 << 0
_THROTTLED = 1 << 1 | 1 << 2 | 1 << 3  # clock capped, throttled, soft temperature limit
# Cooling devices that take speed away, or tell that it was; fans and warnings are cooling devices too.
_SLOWING = re.compile(r"(thermal-)?(cpufreq|devfreq)-|Processor$|[cg]pu-balanced$|.+-throttle-alert$")


def slows(cooling_device: Path) -> bool:
    """Whether the kernel cools by speed with what sysfs has in this directory."""
    return _SLOWING.match(read_text(cooling_device / "type") or "") is not None


class Throttling:
    """Looks at firmware, cooling devices and processors' counters. None where the machine has none."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._sys = root / "sys"
        self._events = self._count_events()

    def take(self) -> Dict[str, Optional[bool]]:
        """`throttled`: now, or by a counter since the last look; `under_voltage`: now, or within 2 s."""
        flags = [
            read_int(path, 16) for path in self._sys.glob("devices/platform/soc*/*firmware/get_throttled")
        ]
        told = [flag for flag in flags if flag is not None]
        slowed = [bool(flag & _THROTTLED) for flag in told]
        slowed += [
            (read_int(device / "cur_state") or 0) > 0
            for device in self._sys.glob("class/thermal/cooling_device*")
            if slows(device)
        ]
        before, self._events = self._events, self._count_events()
        if self._events is not None:
            slowed.append(before is not None and self._events > before)
        low = [bool(flag & _UNDER_VOLTAGE) for flag in told]
        low += [
            read_int(path.with_name("in0_lcrit_alarm")) == 1
            for path in self._sys.glob("class/hwmon/hwmon*/name")
            if read_text(path) == "rpi_volt"
        ]
        return {
            "throttled": any(slowed) if slowed else None,
            "under_voltage": any(low) if low else None,
        }

    def _count_events(self) -> Optional[int]:
        """How often Intel's processors throttled for heat since boot."""
        files = self._sys.glob("devices/system/cpu/cpu*/thermal_throttle/core_throttle_count")
        counts = [read_int(path) or 0 for path in files]
        return sum(counts) if counts else None
