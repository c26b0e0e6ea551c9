# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a device class is tuned to, and what the inventory says to that, to a list of settings."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping

DOCUMENTATION = r"""
name: tuning_settings
short_description: The settings of a device out of its class's and the inventory's choices
description:
  - What M(edgeai.fleet.tuning) is to set. The inventory's word goes before the class's.
author: The edgeai.fleet authors (@edgeai-fleet)
positional: _input, ways, choices
options:
  _input:
    description: What the class is tuned to, a value for each name, V(false) for what is off unless asked for,
      V(true) for what has no value.
    type: dict
    required: true
  ways:
    description: How each setting is made, in the words of M(edgeai.fleet.tuning), by name.
    type: dict
    required: true
  choices:
    description: The inventory's own values. V(false) leaves a setting alone, V(true) takes the class's value.
      Names that the class does not have are left aside.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show what a device is tuned to
  ansible.builtin.debug:
    msg: "{{ profile.tuning | edgeai.fleet.tuning_settings(ways, {'watchdog': false}) }}"
"""

RETURN = r"""
_value:
  description: The settings, in the class's order.
  type: list
  elements: dict
"""


def tuning_settings(
    tuning: Mapping[str, Any], ways: Mapping[str, Mapping[str, Any]], choices: Mapping[str, Any]
) -> List[Dict[str, Any]]:
    """The settings, in the class's order."""
    settings = []
    for name, own in tuning.items():
        value = choices.get(name, own)
        if value is True:
            value = own
        if value is False and choices.get(name) is not True:
            continue
        setting = {"name": name, **ways[name]}
        if not isinstance(value, bool):
            setting["value"] = str(value)
        settings.append(setting)
    return settings


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"tuning_settings": tuning_settings}
