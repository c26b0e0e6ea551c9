"""The device's settings, written by provisioning to etc/device.toml."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Tuple

from edgeai_runtime.errors import InputError
from edgeai_runtime.monitor.rules import DEFAULTS, Rules, read_rules
from edgeai_runtime.paths import Paths
from edgeai_runtime.strict import check_keys

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Device:
    """Who this device is and where it serves. `http` is "host:port"; `threads` bounds one model.

    `depot_mirrors` are asked when the depot does not deliver; `depot_rate_limit` is in bytes a second,
    0 for none. `generations_kept` are those confirmed before the present one. `alarms`: the rules in force.
    """

    name: str
    device_class: str
    line: str
    depot_url: str
    http: str
    threads: int = 1
    depot_mirrors: Tuple[str, ...] = ()
    depot_rate_limit: float = 0.0
    generations_kept: int = 2
    alarms: Rules = field(default_factory=lambda: DEFAULTS)


def load_toml(path: Path) -> Dict[str, Any]:
    """Read a TOML file; raises InputError naming the file (and the place in it) when that fails."""
    try:
        data: Dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return data
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: this is not TOML ({error}); correct the file.") from None


def load_device(paths: Paths) -> Device:
    """Read etc/device.toml; raises InputError for a device that was not provisioned."""
    path = paths.device_toml
    if not path.exists():
        raise InputError(f"{path}: this device is not provisioned; run the provision playbook for it first.")
    data = load_toml(path)
    check_keys(
        data, ["schema", "name", "class", "line", "depot", "serve"], ["keep", "alarms"], origin=str(path)
    )
    if data["schema"] != 1:
        raise InputError(
            f"{path}: schema {data['schema']!r} is unknown, expected 1; provision the device again."
        )
    check_keys(data["depot"], ["url"], ["mirrors", "rate_limit"], origin=f"{path}, [depot]")
    check_keys(data["serve"], ["http"], ["threads"], origin=f"{path}, [serve]")
    keep = data.get("keep", {})
    check_keys(keep, [], ["generations"], origin=f"{path}, [keep]")
    return Device(
        name=data["name"],
        device_class=data["class"],
        line=data["line"],
        depot_url=data["depot"]["url"].rstrip("/"),
        http=data["serve"]["http"],
        threads=data["serve"].get("threads", 1),
        depot_mirrors=tuple(url.rstrip("/") for url in data["depot"].get("mirrors", [])),
        depot_rate_limit=data["depot"].get("rate_limit", 0) * 1e6,
        generations_kept=keep.get("generations", 2),
        alarms=read_rules(data.get("alarms", {}), origin=str(path)),
    )
