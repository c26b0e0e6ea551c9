# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdicts of a rollout, one row a device."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence

DOCUMENTATION = r"""
name: verdict_rows
short_description: Collect the verdicts of a rollout, one row a device
description:
  - A device without a verdict is no success.
author: The edgeai.fleet authors (@edgeai-fleet)
positional: _input, hostvars
options:
  _input:
    description: Names of the devices, in the order they were planned.
    type: list
    elements: str
    required: true
  hostvars:
    description: C(hostvars) after the waves.
    type: dict
    required: true
  pending:
    description: The verdict of a device that has none.
    type: str
    default: failed
"""

EXAMPLES = r"""
- name: Report the verdicts
  edgeai.fleet.report:
    title: label-reader 1.1.0
    rows: "{{ release_plan.hosts | edgeai.fleet.verdict_rows(hostvars) }}"
    columns: [device, line, class, verdict, reason]
"""

RETURN = r"""
_value:
  description: C(device), C(line), C(class), C(verdict), C(reason) and C(details) of each.
  type: list
  elements: dict
"""


def verdict_rows(
    devices: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]], pending: str = "failed"
) -> List[Dict[str, Any]]:
    """One row a device."""
    none = {"verdict": pending, "reason": "the run ended before this device had a verdict", "details": {}}
    rows = []
    for device in devices:
        variables = hostvars[device]
        row = {
            "device": device,
            "line": variables.get("runtime_line", ""),
            "class": variables.get("runtime_class", ""),
        }
        rows.append({**row, **(variables.get("release_verdict") or none)})
    return rows


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"verdict_rows": verdict_rows}
