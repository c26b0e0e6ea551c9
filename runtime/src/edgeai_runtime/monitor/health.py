# NOTE to helper "serving": the lead wrote this while you were silent (12:30); it may have replaced yours.
# You own it again: keep or rewrite, and remove this note.
"""One device's health in one flat report, for a terminal, a table and a program."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional

from edgeai_runtime.settings import Device

THERMAL = Path("/sys/class/thermal")


def report(device: Device, status: Dict[str, Any], manifest: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    """The health report from the keeper's `status` and the current generation's manifest.

    p50_ms and p99_ms over the last requests (None without any), cpu_percent of one core, rss_mb in
    megabytes of 10^6 bytes, temperature_c of the hottest zone (None where the device has none).
    `verdict`: confirmed, trial, reverted, failed or idle; `reason` says why it is not confirmed.
    """
    serving = status.get("serving") or {}
    models = (manifest or {}).get("models", {})
    verdict, reason = _verdict(status)
    return {
        "name": device.name,
        "class": device.device_class,
        "line": device.line,
        "generation": status.get("generation"),
        "phase": status.get("phase"),
        "models": {name: model["version"] for name, model in models.items()},
        "engine": ", ".join(sorted({f"{m['engine']} {m['recipe']}" for m in models.values()})) or None,
        "requests": serving.get("requests", 0),
        "errors": serving.get("errors", 0),
        "p50_ms": serving.get("p50_ms"),
        "p99_ms": serving.get("p99_ms"),
        "cpu_percent": serving.get("cpu_percent"),
        "rss_mb": serving.get("rss_mb"),
        "temperature_c": temperature(),
        "restarts": status.get("restarts", 0),
        "verdict": verdict,
        "reason": reason,
        "alarms": status.get("alarms", []),
        "last_reverted": status.get("last_reverted"),
        "http": status.get("http"),
    }


def _verdict(status: Dict[str, Any]) -> tuple[str, Optional[str]]:
    phase = status.get("phase")
    alarms = status.get("alarms", [])
    if phase == "confirmed":
        return ("failed", alarms[0]) if alarms else ("confirmed", None)
    if phase == "trial":
        trial = status.get("trial") or {}
        return "trial", f"on trial for another {trial.get('remaining_s', 0):.0f} s"
    if phase == "idle":
        return "idle", "nothing is installed to serve"
    return "failed", alarms[0] if alarms else f"the generation is {phase}"


def temperature(zones: Path = THERMAL) -> Optional[float]:
    """The hottest thermal zone in degrees Celsius, None where there is none
    (https://docs.kernel.org/driver-api/thermal/sysfs-api.html: millidegrees)."""
    found = []
    for zone in zones.glob("thermal_zone*/temp"):
        try:
            found.append(int(zone.read_text()) / 1000)
        except (OSError, ValueError):
            continue  # a sensor that is switched off answers with an error
    return max(found, default=None)
