# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an inventory, found before any device is touched."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

from ansible_collections.edgeai.fleet.plugins.plugin_utils.known_tuning import tuning_refusals
from ansible_collections.edgeai.fleet.plugins.plugin_utils.known_variables import mistyped

DOCUMENTATION = r"""
name: inventory_refusals
short_description: Say what is wrong with the inventory of a fleet
description:
  - Reads variables alone; no device is asked.
  - A missing or unknown class, a line that only some devices have, a root that is relative or too long for
    the sockets below it, two devices with one address and port or with one root, mistyped variables and names
    of settings.
author: The edgeai.fleet authors (@edgeai-fleet)
positional: _input, hostvars
options:
  _input:
    description: Names of the devices.
    type: list
    elements: str
    required: true
  hostvars:
    description: C(hostvars).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Check the inventory
  ansible.builtin.assert:
    that: (ansible_play_hosts | edgeai.fleet.inventory_refusals(hostvars)) is falsy
  run_once: true
"""

RETURN = r"""
_value:
  description: One sentence for each thing that is wrong; empty when nothing is.
  type: list
  elements: str
"""

CLASSES = ("industrial_pc", "jetson", "raspberry_pi")
ROOT_LIMIT = 60  # a unix socket's path holds 107 bytes (unix(7)), and supervisor adds its own suffix
# In numbers: systemd, which listens, takes no name, and a factory need not have names.
HTTP = re.compile(r"^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]):(\d{1,5})$")
TOKEN = re.compile(r"^[!-~]{16,}$")
DEFAULT_HTTP = "127.0.0.1:8080"


def inventory_refusals(devices: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]]) -> List[str]:
    """One sentence for each thing that is wrong."""
    refusals = mistyped({device: hostvars[device] for device in devices})
    for device in devices:
        refusals += [f"{device}: {said}" for said in _one(hostvars[device])]
    return refusals + _lineless(devices, hostvars) + _collisions(devices, hostvars)


def _one(variables: Mapping[str, Any]) -> List[str]:
    """What is wrong with one device, looked at alone."""
    refusals = []
    known = ", ".join(CLASSES)
    device_class = variables.get("runtime_class", "")
    if not device_class:
        refusals.append(f"runtime_class is missing; set it to one of {known}.")
    elif device_class not in CLASSES:
        refusals.append(f"runtime_class is '{device_class}', which no role knows; set it to one of {known}.")
    root = str(variables.get("runtime_root", "/"))
    if not root.startswith("/"):
        refusals.append(f"runtime_root is '{root}', a relative path; give it from / on.")
    elif len(root) > ROOT_LIMIT:
        refusals.append(
            f"runtime_root is {len(root)} characters long, and the sockets below it allow {ROOT_LIMIT}; "
            f"choose a shorter one than {root}."
        )
    http = str(variables.get("runtime_http", DEFAULT_HTTP))
    found = HTTP.match(http)
    if not found or not 0 < int(found.group(1)) < 65536:
        refusals.append(
            f"runtime_http is '{http}', expected an address and a port, in numbers, such as {DEFAULT_HTTP}."
        )
    short = [token for token in variables.get("runtime_tokens") or [] if not TOKEN.match(str(token))]
    if short:
        refusals.append(
            f"{len(short)} of runtime_tokens are shorter than 16 characters, or have some that a header does "
            "not take; make them with `openssl rand -hex 32`."
        )
    if bool(variables.get("runtime_certificate")) != bool(variables.get("runtime_certificate_key")):
        refusals.append(
            "of runtime_certificate and runtime_certificate_key one is missing; give both or none."
        )
    return refusals + tuning_refusals(str(device_class), variables.get("runtime_tuning", {}))


def _lineless(devices: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]]) -> List[str]:
    """Devices without a line where others have one: a rollout would count them as a line of their own."""
    without = [device for device in devices if not hostvars[device].get("runtime_line")]
    if len(without) == len(devices):
        return []
    return [
        f"{device}: runtime_line is missing, while others have theirs; name the production line it stands at."
        for device in without
    ]


def _collisions(devices: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]]) -> List[str]:
    """Devices that stand in each other's way on one machine."""
    taken: Dict[Tuple[str, str], List[str]] = defaultdict(list)
    for device in devices:
        variables = hostvars[device]
        local = variables.get("ansible_connection") in ("local", "ansible.builtin.local")
        machine = "this machine" if local else str(variables.get("ansible_host", device))
        port = str(variables.get("runtime_http", DEFAULT_HTTP)).rpartition(":")[2]
        taken[machine, f"port {port}, give one of them another runtime_http"].append(device)
        root = str(variables.get("runtime_root", "/"))
        taken[machine, f"the root {root}, give one of them another runtime_root"].append(device)
    return [
        f"{' and '.join(names)}: on {machine} both have {what}."
        for (machine, what), names in taken.items()
        if len(names) > 1
    ]


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"inventory_refusals": inventory_refusals}
