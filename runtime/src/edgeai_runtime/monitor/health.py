"""One answer to "how is this device?", from its keeper, what serves, and the generation's manifest."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from edgeai_runtime.monitor.condition import condition
from edgeai_runtime.monitor.readings import Readings
from edgeai_runtime.settings import Device
from edgeai_runtime.system_versions import NAMES


def report(
    device: Device,
    status: Mapping[str, Any],
    manifest: Optional[Mapping[str, Any]],
    platform: Mapping[str, str] = MappingProxyType({}),
    alarms: Sequence[str] = (),
    service: Optional[Mapping[str, Any]] = None,
    readings: Optional[Readings] = None,
) -> Dict[str, Any]:
    """The health report, flat: for a terminal, a table and a program.

    `status`: the keeper's answer to "status"; `manifest`: of the current generation, None without
    one; `platform`: the system's versions of L4T, CUDA and TensorRT as they are now; `alarms`: of others
    than the keeper; `service`: Watch.report() of what serves, `readings`: of the machine, where that does
    not tell. Times in ms, p50 and p99 of the last minute, CPU in percent of one core, memory in MiB, all
    None while nothing serves.
    `verdict`: "confirmed", "reverted" (it serves what it served before, `reason` says why), "trial",
    "starting", "failed" or "idle"; only "confirmed" is success. `condition`
    and `condition_reason`: see Condition.
    """
    service = service or {}
    serving = {**(status.get("serving") or {}), **service}
    readings = service.get("readings") or readings or {}
    models = (manifest or {}).get("models", {})
    engines = {f"{model.get('engine')} {model.get('recipe') or ''}".strip() for model in models.values()}
    verdict, reason = _verdict(status)
    said = [*status.get("alarms", []), *alarms, *_platform_alarm(manifest or {}, platform)]
    found = condition(said, readings.get("error_percent") or 0.0, verdict not in ("failed", "idle"))
    return {
        "name": device.name,
        "class": device.device_class,
        "line": device.line,
        "generation": status.get("generation"),
        "phase": status.get("phase"),
        "models": {name: model.get("version") for name, model in models.items()},
        "engine": ", ".join(sorted(engines)) or None,
        "requests": serving.get("requests", 0),
        "inferences": serving.get("inferences", 0),
        "refused": serving.get("refused", 0),
        "errors": serving.get("errors", 0),
        "mean_ms": serving.get("mean_ms"),
        "p50_ms": serving.get("p50_ms"),
        "p99_ms": serving.get("p99_ms"),
        "cpu_percent": serving.get("cpu_percent"),
        "rss_mb": serving.get("rss_mb"),
        "temperature_c": readings.get("temperature_c"),
        "restarts": status.get("restarts", 0),
        "verdict": verdict,
        "reason": reason,
        "condition": found.word,
        "condition_reason": found.reason,
        "alarms": said,
        "readings": {name: figure for name, figure in readings.items() if figure is not None},
        "power_mode": serving.get("power_mode"),
        "recent_errors": list(serving.get("recent_errors", [])),
        "platform": dict(platform),
        "last_reverted": status.get("last_reverted"),
        "http": status.get("http"),
    }


def of_server(told: Mapping[str, Any]) -> Dict[str, Any]:
    """Watch.report() of a server without a keeper, flat as the report of a device; `served` has a row for
    each model."""
    models = told.get("models", {})
    readings = {name: figure for name, figure in told.get("readings", {}).items() if figure is not None}
    return {
        **told,
        "models": {name: model.get("version") for name, model in models.items()},
        "readings": readings,
        "served": [{"model": name, **model} for name, model in models.items()],
    }


def _platform_alarm(manifest: Mapping[str, Any], platform: Mapping[str, str]) -> List[str]:
    """What to say when the system under a generation is no more the one it was measured on."""
    before = manifest.get("platform") or platform  # the runtime before did not record it
    changes = [
        f"{title} is {platform.get(name, 'gone')} and was {before.get(name, 'not there')}"
        for name, title in NAMES.items()
        if platform.get(name) != before.get(name)
    ]
    if not changes:
        return []
    return [
        f"{', '.join(changes)} when generation {manifest.get('generation')} was made: its models go on with "
        "onnxruntime on the processor; roll the release out again to convert and measure them here."
    ]


def _verdict(status: Mapping[str, Any]) -> Tuple[str, Optional[str]]:
    phase = str(status.get("phase"))
    alarms = list(status.get("alarms", []))
    latest = (status.get("history") or [{}])[-1]
    if phase == "confirmed" and latest.get("outcome") == "reverted":
        return "reverted", f"generation {latest.get('generation')} was taken back: {latest.get('reason')}"
    if phase == "trial":
        remaining = (status.get("trial") or {}).get("remaining_s", 0)
        return phase, f"it is taken back unless confirmed within {remaining:.0f} s"
    if phase == "idle":
        return phase, "no generation was ever confirmed on this device"
    if phase == "failed":
        return phase, alarms[0] if alarms else "its generation does not run"
    return phase, None
