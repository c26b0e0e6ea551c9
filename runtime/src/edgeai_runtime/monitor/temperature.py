"""How hot the machine is, and how far from where it slows itself down."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from edgeai_runtime.monitor.sysfs import read_int, read_text
from edgeai_runtime.monitor.throttling import slows

# Sensors of processors among hwmon's. Those on a board report what nothing is connected to as well.
_PROCESSOR_SENSORS = ("coretemp", "k10temp", "zenpower")
# Where firmware slows a board down without telling the kernel so: by a word in the device tree.
# https://www.raspberrypi.com/documentation/computers/raspberry-pi.html#frequency-management-and-thermal-control
_FIRMWARE_LIMITS_C = {"raspberrypi": 80.0}


class Thermometers:
    """All sensors of the machine. What a sensor's limit is, is read once."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._limits: Dict[Path, Optional[float]] = {}
        compatible = read_text(root / "sys/firmware/devicetree/base/compatible") or ""
        self._firmware_limit = next(
            (limit for word, limit in _FIRMWARE_LIMITS_C.items() if word in compatible), None
        )

    def take(self) -> Dict[str, Optional[float]]:
        """`temperature_c`: the hottest sensor; `temperature_margin_c`: what is left until the first one
        slows the machine down. Both None where nothing is told."""
        hottest: List[float] = []
        margins: List[float] = []
        for path, limit in self._sensors():
            millidegrees = read_int(path)
            # Broken sensors report absurdities such as -273 or 65261.
            if millidegrees is None or not -60_000 < millidegrees < 200_000:
                continue
            hottest.append(millidegrees / 1000)
            if limit is not None:
                margins.append(limit - millidegrees / 1000)
        return {
            "temperature_c": round(max(hottest), 1) if hottest else None,
            "temperature_margin_c": round(min(margins), 1) if margins else None,
        }

    def _sensors(self) -> Iterator[Tuple[Path, Optional[float]]]:
        for path in self._root.glob("sys/class/thermal/thermal_zone*/temp"):
            if path not in self._limits:
                self._limits[path] = self._firmware_limit or _zone_limit(path.parent)
            yield path, self._limits[path]
        for path in self._root.glob("sys/class/hwmon/hwmon*/temp*_input"):
            if path not in self._limits:
                self._limits[path] = _plausible(read_int(path.with_name(path.name.replace("input", "crit"))))
            if read_text(path.with_name("name")) in _PROCESSOR_SENSORS:
                yield path, self._limits[path]


def _zone_limit(zone: Path) -> Optional[float]:
    """The lowest trip point at which the kernel takes speed away, else the one at which it shuts down.

    A trip point is what its cooling devices make of it: at one of a Jetson's, of the kind "passive" as well,
    it merely warns of a hot surface. https://docs.kernel.org/driver-api/thermal/sysfs-api.html
    """
    slowing: List[float] = []
    for file in zone.glob("cdev*_trip_point"):
        limit = _plausible(read_int(zone / f"trip_point_{read_int(file)}_temp"))
        if limit is not None and slows(zone / file.name[: -len("_trip_point")]):
            slowing.append(limit)
    if slowing:
        return min(slowing)
    kinds = sorted(zone.glob("trip_point_*_type"))
    critical = [
        file.with_name(file.name.replace("type", "temp")) for file in kinds if read_text(file) == "critical"
    ]
    return _plausible(read_int(critical[0])) if critical else None


def _plausible(millidegrees: Optional[int]) -> Optional[float]:
    """A limit in degrees; a trip point that nobody set is 0 or far below."""
    return millidegrees / 1000 if millidegrees is not None and 40_000 < millidegrees < 150_000 else None
