# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a device that was measured cannot work, found before it is touched."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional

OLDEST_PYTHON = "3.8"

DOCUMENTATION = r"""
name: device_refusals
short_description: Say why a device cannot work
description:
  - Compares what M(edgeai.fleet.device_info) measured with what the bundle needs and what the device class
    expects.
author: The edgeai.fleet authors (@edgeai-fleet)
positional: _input, bundle, profile
options:
  _input:
    description: The result of M(edgeai.fleet.device_info).
    type: dict
    required: true
  bundle:
    description: The result of M(edgeai.fleet.bundle_info). Without locks, as in check mode without a depot,
      what needs them is not checked.
    type: dict
    required: true
  profile:
    description: What the role of the device class says of it, C(name), C(architectures) and C(detected).
    type: dict
    required: true
  target:
    description: The target to provision with; empty for the measured one.
    type: str
    default: ''
  hardware:
    description: V(simulated) leaves out the comparison with the device class.
    type: str
    choices: [real, simulated]
    default: real
  need:
    description: C(disk_mb) and C(memory_mb) that the device must have.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Refuse a device that could not work
  ansible.builtin.assert:
    that: (measured | edgeai.fleet.device_refusals(bundle, profile)) is falsy
"""

RETURN = r"""
_value:
  description: One sentence for each reason; empty when there is none.
  type: list
  elements: str
"""


def device_refusals(
    device: Mapping[str, Any],
    bundle: Mapping[str, Any],
    profile: Mapping[str, Any],
    target: str = "",
    hardware: str = "real",
    need: Optional[Mapping[str, float]] = None,
) -> List[str]:
    """One sentence for each reason."""
    need = need or {}
    refusals = [*_hardware(device, profile)] if hardware == "real" else []
    wheels = _wheels(device, bundle, target)
    refusals += [wheels] if wheels else []
    for what, key in (("disk", "disk_free_mb"), ("memory", "memory_mb")):
        required = round(need.get(f"{what}_mb", 0))
        if device[key] < required:
            have = "free disk" if what == "disk" else "memory"
            refusals.append(
                f"it has {device[key]} MiB of {have}, and the releases with their conversion need "
                f"{required} MiB; free some, or lower runtime_{what}_reserve_mb if you know better."
            )
    return refusals


def _hardware(device: Mapping[str, Any], profile: Mapping[str, Any]) -> List[str]:
    """Where the class and the hardware contradict each other."""
    name, found = profile["name"], device["detected_class"]
    looks = f"{device['model'] or 'an unnamed board'}, {device['architecture']}"
    if found not in profile["detected"]:
        return [
            f"its class is {name}, but the hardware is {found or 'none of ours'} ({looks}); correct "
            "runtime_class, or set runtime_hardware to simulated to try it out."
        ]
    if device["architecture"] not in profile["architectures"]:
        expected = " or ".join(profile["architectures"])
        return [
            f"its class {name} is {expected}, but this is {looks}; correct runtime_class, "
            "or set runtime_hardware to simulated to try it out."
        ]
    return []


def _wheels(device: Mapping[str, Any], bundle: Mapping[str, Any], target: str) -> Optional[str]:
    """Why no wheels fit, None when some do."""
    python = device["python"]
    if python is None:
        return (
            f"runtime_python cannot be started; install Python {OLDEST_PYTHON} or newer, "
            "or correct runtime_python."
        )
    if python["bits"] != 64:
        return (
            f"its userland is {python['bits']}-bit ({device['architecture']} kernel), and the engines exist "
            "for 64-bit only; install the 64-bit image of its system."
        )
    if _version(python["version"]) < _version(OLDEST_PYTHON):
        jetpack = "; on JetPack 4 that is Ubuntu's package python3.8" if device.get("jetpack") == 4 else ""
        return (
            f"its Python is {python['version']}, and the runtime needs {OLDEST_PYTHON} or newer; install one "
            f"beside it and name it in runtime_python{jetpack}."
        )
    target = target or device["target"] or ""
    locks = {name: lock for name, lock in bundle.get("locks", {}).items() if name != "supervisor"}
    if not locks:
        return None
    named = ", ".join(sorted(locks))
    if target not in locks:
        what = target or f"{python['implementation']} {python['version']} on {device['architecture']}"
        return (
            f"the bundle has no lock for {what}; it has {named}: add the target to bundle_targets and build "
            "the bundle again, or point runtime_python at another Python."
        )
    glibc = locks[target].get("glibc", "")
    if _version(device["glibc"]) < _version(glibc):
        return (
            f"its glibc is {device['glibc'] or 'missing'}, and the lock {target} needs {glibc} or newer; "
            f"install a newer system (the bundle's locks are {named})."
        )
    return None


def _version(text: str) -> List[int]:
    return [int(part) for part in text.split(".") if part.isdigit()]


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"device_refusals": device_refusals}
