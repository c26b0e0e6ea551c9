#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of an action; plugins/action/release.py does it, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Fetch a signed release to a device
description:
  - Lets the device fetch a release from its depot and verify every byte of it. Nothing that runs is touched.
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
  state:
    description: The release is in the device's store.
    type: str
    choices: [present]
    default: present
"""

EXAMPLES = r"""
- name: Fetch the release
  edgeai.fleet.release:
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
digest:
  description: Digest of the release's manifest.
  type: str
  returned: success
bytes_fetched:
  description: What came over the network.
  type: int
  returned: success
bytes_present:
  description: What was in the store already.
  type: int
  returned: success
"""
