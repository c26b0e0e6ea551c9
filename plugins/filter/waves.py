# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders devices into waves."""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable, Dict, List, Mapping, Sequence

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: waves
short_description: Order devices into waves
description:
  - The first wave is the canaries. Every later one takes as many of the remaining devices as the budgets
    allow. The order of the devices is kept.
  - No wave, the first included, takes more than O(line_budget) devices of one line.
author: The edgeai.fleet authors (@edgeai-fleet)
positional: _input, hostvars
options:
  _input:
    description: Names of the devices.
    type: list
    elements: str
    required: true
  hostvars:
    description: C(hostvars); a device's line is its C(runtime_line).
    type: dict
    required: true
  canaries:
    description: How many devices go first; with V(0) none does.
    type: int
    default: 1
  line_budget:
    description: How many devices of one line may be in one wave.
    type: int
    default: 1
  most:
    description: How many devices may be in one wave at all; V(0) is no limit.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Plan the waves
  ansible.builtin.debug:
    msg: "{{ groups['devices'] | edgeai.fleet.waves(hostvars, canaries=1, line_budget=1) }}"
"""

RETURN = r"""
_value:
  description: The waves, each a list of names.
  type: list
  elements: list
"""

DEFAULT_LINE = "default"  # devices without a line share one: the careful reading


def waves(
    devices: Sequence[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    canaries: int = 1,
    line_budget: int = 1,
    most: int = 0,
) -> List[List[str]]:
    """The waves of a rollout. Raises AnsibleFilterError for a budget nobody fits in."""
    canaries, line_budget, most = int(canaries), int(line_budget), int(most)
    if line_budget < 1:
        raise AnsibleFilterError(f"A line's budget of {line_budget} lets no device move; give at least 1.")
    lines = {device: str(hostvars[device].get("runtime_line", DEFAULT_LINE)) for device in devices}
    remaining, planned = list(devices), []
    if canaries > 0 and remaining:
        planned.append(_take(remaining, lines, line_budget, min(canaries, most or canaries)))
    while remaining:
        planned.append(_take(remaining, lines, line_budget, most or len(remaining)))
    return planned


def _take(remaining: List[str], lines: Mapping[str, str], line_budget: int, most: int) -> List[str]:
    """Move the next wave out of `remaining`."""
    taken: List[str] = []
    used: Counter[str] = Counter()
    for device in remaining:
        if len(taken) < most and used[lines[device]] < line_budget:
            taken.append(device)
            used[lines[device]] += 1
    remaining[:] = [device for device in remaining if device not in taken]
    return taken


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"waves": waves}
