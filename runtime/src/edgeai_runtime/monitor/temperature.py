"""How hot the device is."""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional

import psutil


def temperature_c(zones: Path = Path("/sys/class/thermal")) -> Optional[float]:
    """The hottest sensor in degrees Celsius, None on a machine that tells nothing."""
    readings: List[float] = []
    for file in sorted(zones.glob("thermal_zone*/temp")):
        try:
            readings.append(int(file.read_text()) / 1000)
        except (OSError, ValueError):
            continue  # a zone that is switched off answers with an error
    if not readings and hasattr(psutil, "sensors_temperatures"):
        for sensors in psutil.sensors_temperatures().values():
            readings.extend(sensor.current for sensor in sensors)
    # Broken sensors report absurdities such as -273 or 65261.
    plausible = [reading for reading in readings if -60 < reading < 200]
    return round(max(plausible), 1) if plausible else None
