#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures a device before anything is installed on it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: device_info
short_description: Measure a device on which nothing is installed yet
description:
  - Reads what decides whether and how a device can be provisioned, with Python's standard library alone.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.device
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.info
options:
  python:
    description: The interpreter that will make the device's environments. It is asked what it is.
    type: path
    default: /usr/bin/python3
"""

EXAMPLES = r"""
- name: Measure the device
  edgeai.fleet.device_info:
    python: /usr/bin/python3
  register: measured

- name: Show what it would be provisioned as
  ansible.builtin.debug:
    msg: "{{ measured.detected_class }} with the wheels of {{ measured.target }}"
"""

RETURN = r"""
architecture:
  description: The kernel's architecture.
  type: str
  returned: success
  sample: aarch64
userland_bits:
  description: Word size of O(python); none when it cannot be started.
  type: int
  returned: success
  sample: 64
python:
  description: C(path), C(version), C(implementation), C(bits) and C(glibc) of O(python); none when it
    cannot be started.
  type: dict
  returned: success
glibc:
  description: Version of the C library, empty where it is another one.
  type: str
  returned: success
  sample: "2.36"
target:
  description: The target whose wheels fit; none where none can.
  type: str
  returned: success
  sample: aarch64-cp311-cpu
memory_mb:
  description: Memory in MiB.
  type: int
  returned: success
disk_free_mb:
  description: Free space in MiB where O(root) is.
  type: int
  returned: success
model:
  description: The device tree's model, empty without a device tree.
  type: str
  returned: success
  sample: Raspberry Pi 5 Model B Rev 1.0
nv_tegra_release:
  description: First line of NVIDIA's release file, empty without one.
  type: str
  returned: success
nvidia_pci:
  description: PCI addresses of NVIDIA display controllers.
  type: list
  elements: str
  returned: success
cpu_flags:
  description: What the processor can do.
  type: list
  elements: str
  returned: success
detected_class:
  description: The device class that the hardware shows; none when it shows none.
  type: str
  returned: success
  sample: raspberry_pi
systemd:
  description: Whether systemd runs the machine.
  type: bool
  returned: success
msg:
  description: The device in one line.
  type: str
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import device_argument_spec
from ansible_collections.edgeai.fleet.plugins.module_utils.hardware import measure


def main() -> None:
    module = AnsibleModule(
        argument_spec=device_argument_spec(python={"type": "path", "default": "/usr/bin/python3"}),
        supports_check_mode=True,
    )
    device = measure(module.params["python"], module.params["root"])
    name = device["model"] or f"{device['architecture']} machine"
    fits = device["target"] or "no target"
    module.exit_json(
        changed=False,
        msg=f"{name}, {fits}, {device['memory_mb']} MiB memory, {device['disk_free_mb']} MiB free",
        **device,
    )


if __name__ == "__main__":
    main()
