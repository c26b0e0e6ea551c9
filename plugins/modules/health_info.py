#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of an action; plugins/action/health_info.py does it, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: health_info
short_description: Report what a device serves and how it does
description:
  - Asks the device's keeper and its serving process.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.device
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.info
"""

EXAMPLES = r"""
- name: Ask the device how it does
  edgeai.fleet.health_info:
  register: health

# Without any play around it:
# ansible -i inventory devices -m edgeai.fleet.health_info
"""

RETURN = r"""
provisioned:
  description: Whether the runtime is there; false only in check mode.
  type: bool
  returned: success
health:
  description: The device's own report; empty when it is not provisioned.
  type: dict
  returned: success
  contains:
    name:
      description: The device's name.
      type: str
    class:
      description: Its device class.
      type: str
    line:
      description: Its production line.
      type: str
    generation:
      description: The generation that serves; none without one.
      type: int
    phase:
      description: C(idle), C(starting), C(trial), C(confirmed) or C(failed).
      type: str
    models:
      description: Versions of the models served, by name.
      type: dict
    engine:
      description: The engine they run in.
      type: str
    requests:
      description: Requests answered since the generation started.
      type: int
    inferences:
      description: Inferences in those answered with a result; a batch of 8 is 8.
      type: int
    refused:
      description: Those that were the client's mistake.
      type: int
    errors:
      description: Those that failed.
      type: int
    mean_ms:
      description: Average of all response times in milliseconds.
      type: float
    p50_ms:
      description: Median of the recent response times in milliseconds.
      type: float
    p99_ms:
      description: 99th percentile of the recent response times in milliseconds.
      type: float
    cpu_percent:
      description: Processor time of the serving process.
      type: float
    rss_mb:
      description: Memory of the serving process in MiB.
      type: float
    temperature_c:
      description: The hottest sensor in degrees Celsius; none without a sensor.
      type: float
    readings:
      description: What the machine tells of itself, by name; docs/monitoring.md lists them.
      type: dict
    power_mode:
      description: Name of a Jetson's power mode, or the limit of a PC's GPU.
      type: str
    condition:
      description: C(good), C(degraded) when an alarm stands, or C(failing) when nothing serves or half of the
        last minute's requests failed.
      type: str
    condition_reason:
      description: What makes it so; none while it is good.
      type: str
    recent_errors:
      description: The last requests that were answered with an error, newest first; C(time), C(model),
        C(status), C(cause) and, for the same one again and again, C(count).
      type: list
      elements: dict
    verdict:
      description: The device's verdict on itself.
      type: str
    reason:
      description: Why.
      type: str
    alarms:
      description: What needs a person, among others an L4T, CUDA or TensorRT that is no more the one the
        generation was measured with, and those of docs/monitoring.md.
      type: list
      elements: str
    platform:
      description: Versions of C(l4t), C(cuda) and C(tensorrt) on the system, where it has them.
      type: dict
msg:
  description: The device in one line.
  type: str
  returned: always
"""
