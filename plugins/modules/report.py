#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of an action; plugins/action/report.py does it, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Show a table of devices, write it as JSON, and fail unless all are well
description:
  - Ends a rollout, a rollback or a health check with one honest table. Runs on the controller.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.attributes
attributes:
  action:
    description: An action plugin of the same name does it, on the controller.
    support: full
  check_mode:
    support: full
    details: In check mode the file is not written.
  diff_mode:
    support: none
  idempotent:
    support: full
    details: Writing the report is no change of the fleet and is not reported as one.
options:
  title:
    description: What is reported.
    type: str
    required: true
  rows:
    description: One dictionary a device, with C(device), C(verdict) and C(reason) among its keys.
    type: list
    elements: dict
    required: true
  columns:
    description: The keys to show, in order; C(key=Heading) gives a column another heading.
    type: list
    elements: str
    required: true
  success:
    description: The verdicts that count as success.
    type: list
    elements: str
    default: [confirmed]
  path:
    description:
      - A file on the controller for the same as JSON.
      - Beside it C(NAME-DEVICE.svg) shows the candidates of each row whose C(details) have a conversion's
        C(table) of several.
    type: path
"""

EXAMPLES = r"""
- name: Report the verdicts
  edgeai.fleet.report:
    title: label-reader 1.1.0
    rows: "{{ verdicts }}"
    columns: [device, line, verdict, reason]
    path: report/rollout.json
  run_once: true
"""

RETURN = r"""
msg:
  description: The table and a sentence.
  type: str
  returned: always
path:
  description: The file that was written.
  type: str
  returned: when O(path) is given
"""
