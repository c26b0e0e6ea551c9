"""Whether a conversion should wait, for the sake of the device and of what serves on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Optional

from edgeai_runtime.monitor.asking import ask
from edgeai_runtime.monitor.pressure import Pressure
from edgeai_runtime.monitor.temperature import Thermometers
from edgeai_runtime.monitor.throttling import Throttling

WORSE = 1.1  # times the p99 from before it began
LEAST_REQUESTS_S = 1.0  # below it a p99 of one minute says nothing

Report = Callable[[], Optional[Dict[str, Any]]]


class Burden:
    """What the device bears, compared with when this was made. `hot`: as of the last look."""

    def __init__(self, socket: Path, root: Path = Path("/"), report: Optional[Report] = None) -> None:
        """`socket`: where what serves on the device answers; `root`: where /sys is found; `report`: asks for
        the health report in the place of the socket."""
        self._report = report or (lambda: ask(socket))
        self._thermometers, self._throttling, self._pressure = (
            Thermometers(root),
            Throttling(root),
            Pressure(),
        )
        self._before_ms = self._p99_ms()
        self.hot = False

    def too_much(self) -> str:
        """Why a conversion should wait now, in a few words; empty where it need not."""
        margin = self._thermometers.take()["temperature_margin_c"]
        self.hot = self._pressure.update(margin, self._throttling.take()["throttled"]) < 1.0
        if self.hot:
            left = "" if margin is None else f", {margin:.0f} °C from where it slows itself down"
            return f"the device is hot{left}"
        now_ms = self._p99_ms()
        if self._before_ms and now_ms and now_ms > WORSE * self._before_ms:
            return f"requests take up to {now_ms:.1f} ms instead of {self._before_ms:.1f}"
        return ""

    def _p99_ms(self) -> Optional[float]:
        """Of the last minute's requests; None where too few come, or nothing serves."""
        report = self._report() or {}
        often = (report.get("readings") or {}).get("requests_per_s") or 0.0
        p99 = report.get("p99_ms")
        return float(p99) if p99 and often >= LEAST_REQUESTS_S else None
