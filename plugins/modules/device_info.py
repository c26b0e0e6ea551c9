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

# ansible devices -m edgeai.fleet.device_info
#
# packing-jetson-1 | SUCCESS => {
#     "msg": "NVIDIA Jetson Orin Nano Developer Kit is jetson: aarch64-cp310-cpu, JetPack 6 (L4T 36.4.3), …",
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
debian_suite:
  description: Release and architecture of a Debian or its kin, whose packages fit; empty elsewhere.
  type: str
  returned: success
  sample: bookworm-arm64
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
  description: What the device tree names the board, else what the firmware does. Empty where neither does.
  type: str
  returned: success
  sample: Raspberry Pi 5 Model B Rev 1.0
compatible:
  description: What the device tree says the board is compatible with, the most exact first.
  type: list
  elements: str
  returned: success
  sample: [raspberrypi,5-model-b, brcm,bcm2712]
nv_tegra_release:
  description: First line of NVIDIA's release file, empty without one.
  type: str
  returned: success
l4t:
  description: Version of Jetson Linux, empty elsewhere.
  type: str
  returned: success
  sample: 36.4.3
jetpack:
  description: The JetPack it belongs to; none elsewhere, and for a version that was not known here yet.
  type: int
  returned: success
  sample: 6
power_mode:
  description: The power mode C(nvpmodel) has set, empty elsewhere.
  type: str
  returned: success
  sample: MAXN_SUPER
gpus:
  description: Display controllers on PCI.
  type: list
  elements: dict
  returned: success
  contains:
    vendor:
      description: V(amd), V(intel) or V(nvidia).
      type: str
    address:
      description: Its place on PCI.
      type: str
      sample: "0000:01:00.0"
    device:
      description: The maker's number for it.
      type: str
      sample: "0x2684"
cpu_flags:
  description: What the processor can do, in Linux's words.
  type: list
  elements: str
  returned: success
cpu_features:
  description: What of that speeds an inference up, of V(amx), V(avx), V(avx2), V(avx512), V(bf16),
    V(dot_product), V(fp16), V(i8mm) and V(vnni).
  type: list
  elements: str
  returned: success
  sample: [dot_product, fp16]
detected_class:
  description: The device class that the hardware shows; none when it shows none.
  type: str
  returned: success
  sample: raspberry_pi
systemd:
  description: Version of the systemd that runs the machine; none where something else does.
  type: int
  returned: success
  sample: 252
msg:
  description: The device in one line.
  type: str
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import device_argument_spec
from ansible_collections.edgeai.fleet.plugins.module_utils.hardware import in_a_line, measure


def main() -> None:
    module = AnsibleModule(
        argument_spec=device_argument_spec(python={"type": "path", "default": "/usr/bin/python3"}),
        supports_check_mode=True,
    )
    device = measure(module.params["python"], module.params["root"])
    module.exit_json(changed=False, msg=in_a_line(device), **device)


if __name__ == "__main__":
    main()
