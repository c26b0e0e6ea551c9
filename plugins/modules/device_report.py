#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of an action; plugins/action/device_report.py does it, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: device_report
short_description: Bring what a device did, signed by it, to the controller
description:
  - A report holds the device's status, generations and journal, signed with the device's own key.
  - The key is pinned on the controller when it is first seen; a report of another key, or one that lacks a
    line of the journal, is refused and the one brought before stays.
  - Needs C(ssh-keygen) on the device and on the controller.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.device
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.changes
attributes:
  action:
    description: An action plugin of the same name does it, on the controller.
    support: full
  diff_mode:
    support: N/A
    details: It changes nothing on the device.
  idempotent:
    support: none
    details: Each time the report is as new as the device.
options:
  directory:
    description: Where on the controller the reports go, as the device's name with C(.json) and C(.json.sig).
    type: path
    required: true
  keys_directory:
    description: Where on the controller the devices' public keys are, as the device's name with C(.pub).
    type: path
    required: true
  days:
    description: How far back in the journal, V(0) for all of it.
    type: float
    default: 0
  python:
    description: An interpreter on the controller with C(edgeai_runtime). The default is the one that Ansible
      runs in.
    type: path
"""

EXAMPLES = r"""
- name: Bring what each device did this week
  edgeai.fleet.device_report:
    directory: report/devices
    keys_directory: report_keys
    days: 7
"""

RETURN = r"""
changed:
  description: Whether a report was brought, or would be in check mode.
  type: bool
  returned: always
path:
  description: The report on the controller.
  type: str
  returned: success
lines:
  description: How many lines of the journal are in it.
  type: int
  returned: when a report was brought
made:
  description: When the device made it, ISO 8601.
  type: str
  returned: when a report was brought
actions:
  description: What was done, one sentence each.
  type: list
  elements: str
  returned: when a report was brought
msg:
  description: The same in one line, what would be done, or why it failed.
  type: str
  returned: always
kind:
  description: The kind of failure, for programs.
  type: str
  returned: failure
details:
  description: What is known about the failure.
  type: dict
  returned: failure
"""
