"""How busy the processors are, and at which clock."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Optional, Tuple

from edgeai_runtime.monitor.sysfs import read_int, read_text


class Processors:
    """Of the whole machine. Load is over the time since the last look, None at the first."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._before = self._ticks()

    def take(self) -> Dict[str, Optional[float]]:
        """`system_cpu_percent`: 100 is all cores busy; `cpu_mhz`: the first core's clock now."""
        before, self._before = self._before, self._ticks()
        percent = None
        if before and self._before and self._before[1] > before[1]:
            busy, all_ = (now - then for now, then in zip(self._before, before))
            percent = round(100 * busy / all_, 1)
        khz = read_int(self._root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
        return {"system_cpu_percent": percent, "cpu_mhz": None if khz is None else khz / 1000}

    def _ticks(self) -> Optional[Tuple[int, int]]:
        """Busy and all ticks since boot: user nice system idle iowait irq softirq steal of proc(5)."""
        text = read_text(self._root / "proc/stat")
        if text is None or not text.startswith("cpu "):
            return None
        ticks = [int(field) for field in text.split("\n", 1)[0].split()[1:9]]
        return sum(ticks) - sum(ticks[3:5]), sum(ticks)
