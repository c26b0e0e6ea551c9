#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of an action; plugins/action/model_convert.py does it, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_convert
short_description: Convert a release's model on the device it is for
description:
  - Lets the device convert the model of a fetched release by the recipe of its class, measure the candidates
    and keep the best. Nothing that runs is touched.
  - It runs as a job on the device, shows what it does while it does it, and goes on while the connection is
    lost; for five minutes it is tried to reach the device again.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.device
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.changes
options:
  name:
    description: The release's name.
    type: str
    required: true
  version:
    description: The release's version.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Convert the model for this device
  edgeai.fleet.model_convert:
    name: label-reader
    version: 1.1.0
"""

RETURN = r"""
changed:
  description: Whether something was changed, or would be in check mode.
  type: bool
  returned: always
actions:
  description: What was done, or would be, one sentence each.
  type: list
  elements: str
  returned: success
msg:
  description: The same in one line, what there was not to do, or why it failed.
  type: str
  returned: always
kind:
  description: The kind of failure, for programs.
  type: str
  returned: failure
details:
  description: What the device knows about the failure.
  type: dict
  returned: failure
fingerprint:
  description: What the conversion depends on, as one digest.
  type: str
  returned: success
artifact:
  description: Digest of the converted model.
  type: str
  returned: success
quality:
  description: Of the answers to the selection set, from 0 to 1, as the release's gate of quality measures it.
  type: float
  returned: success
p50_ms:
  description: Median time of one sample in milliseconds.
  type: float
  returned: success
size:
  description: Size of the converted model in bytes.
  type: int
  returned: success
differs:
  description:
    - What is not as it was when the release's model was last converted on the device, then and now, by field.
    - With C(--diff) it is shown.
  type: dict
  returned: success
table:
  description:
    - The candidates, each with C(candidate), C(quality), C(p50_ms), C(p99_ms), C(samples), C(size) in bytes,
      C(verdict) and C(why).
  type: list
  elements: dict
  returned: success
"""
