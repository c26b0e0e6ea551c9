#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of an action; plugins/action/conversion.py does it, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: conversion
short_description: Bring what a device converted to the controller
description:
  - What one device searched for minutes, or built an engine for, others of the very same fingerprint need
    not. This brings it to the controller; M(edgeai.fleet.bundle) signs it on the workstation, and devices
    whose C(runtime_depot_conversions) is true take it from the depot, measure it and gate it as their own.
  - No figure of one device goes to another.
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
options:
  name:
    description: The release's name.
    type: str
    required: true
  version:
    description: The release's version, which this device has converted.
    type: str
    required: true
  directory:
    description: Where on the controller it goes, in a directory with the fingerprint as its name.
    type: path
    required: true
seealso:
  - module: edgeai.fleet.model_convert
  - module: edgeai.fleet.bundle
"""

EXAMPLES = r"""
- name: Bring what this device made of the release
  edgeai.fleet.conversion:
    name: label-reader
    version: 1.1.0
    directory: conversions
"""

RETURN = r"""
changed:
  description: Whether it was brought, or would be in check mode. What is there is not brought again.
  type: bool
  returned: always
path:
  description: Its directory on the controller.
  type: str
  returned: success, unless the device has no runtime yet
fingerprint:
  description: The fingerprint of the conversion.
  type: str
  returned: success, unless the device has no runtime yet
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
  description: What is known about the failure.
  type: dict
  returned: failure
"""
