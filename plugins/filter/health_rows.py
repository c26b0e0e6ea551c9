# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the devices of a fleet do, one row a device."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence

from ansible_collections.edgeai.fleet.plugins.filter.verdict import verdict

DOCUMENTATION = r"""
name: health_rows
short_description: Collect how devices do, one row a device
description:
  - A device that was not reached, or that could not answer, has a row as well, with its verdict and reason.
author: The edgeai.fleet authors (@edgeai-fleet)
positional: _input, hostvars, register
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
  register:
    description: Name of the variable that holds each device's result of M(edgeai.fleet.health_info).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show how the fleet does
  edgeai.fleet.report:
    title: Health
    rows: "{{ ansible_play_hosts | edgeai.fleet.health_rows(hostvars, 'health') }}"
    columns: [device, verdict, reason]
"""

RETURN = r"""
_value:
  description: C(device), C(line), C(class), what the device reports, C(verdict) and C(reason) of each.
  type: list
  elements: dict
"""


def health_rows(
    devices: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]], register: str
) -> List[Dict[str, Any]]:
    """One row a device."""
    rows = []
    for device in devices:
        variables = hostvars[device]
        result = variables.get(register) or {"msg": "it was not asked"}
        told = result.get("health") or {k: v for k, v in verdict(result).items() if k != "details"}
        row = {
            "device": device,
            "line": variables.get("runtime_line", ""),
            "class": variables.get("runtime_class", ""),
        }
        rows.append({**row, **told, "alarms": told.get("alarms", [])})
    return rows


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"health_rows": health_rows}
