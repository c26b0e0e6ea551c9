# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a rollout that is asked for, found before any device is asked."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence

from ansible_collections.edgeai.fleet.plugins.plugin_utils.known_variables import mistyped

DOCUMENTATION = r"""
name: rollout_refusals
short_description: Say what is wrong with a rollout that is asked for
description:
  - Reads variables alone; no device is asked.
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
  name:
    description: The release's name.
    type: str
    required: true
  soak_s:
    description: Seconds a device watches the release.
    type: float
    default: 0
  deadline_s:
    description: Seconds after which a device takes back what nobody confirmed.
    type: float
    default: 1
  version:
    description: The release's version; leave it out where none is needed.
    type: str
    default: any
"""

EXAMPLES = r"""
- name: Check what is asked for
  ansible.builtin.assert:
    that: (ansible_play_hosts | edgeai.fleet.rollout_refusals(hostvars, release_name)) is falsy
  run_once: true
"""

RETURN = r"""
_value:
  description: One sentence for each thing that is wrong; empty when nothing is.
  type: list
  elements: str
"""


def rollout_refusals(
    devices: Sequence[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    name: str,
    soak_s: float = 0,
    deadline_s: float = 1,
    version: str = "any",
) -> List[str]:
    """One sentence for each thing that is wrong."""
    refusals = mistyped({device: hostvars[device] for device in devices})
    if not name:
        refusals.append("release_name is missing; say which release is meant: -e release_name=…")
    if not version:
        refusals.append("release_version is missing; say which version to roll out: -e release_version=…")
    if float(soak_s) >= float(deadline_s):
        refusals.append(
            f"release_soak_s is {float(soak_s):g} and release_deadline_s {float(deadline_s):g}: every device "
            "would take the release back before it could be confirmed; give a longer deadline."
        )
    return refusals


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"rollout_refusals": rollout_refusals}
