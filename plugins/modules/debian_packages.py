#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs Debian packages that a bundle brought."""

from __future__ import annotations

DOCUMENTATION = r"""
module: debian_packages
short_description: Install Debian packages that a bundle brought
description:
  - Installs packages with what they need on a host that reaches no mirror, from files whose digests were
    signed on the workstation. What is installed already is left alone, and no service is started by it.
  - Every package is checked against the lock with the digest O(lock_sha256), which the caller took from
    the verified bundle. The host's own package sources are neither asked nor changed.
  - Needs root.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.bootstrap
  - edgeai.fleet.device
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.changes
options:
  name:
    description: The packages.
    type: list
    elements: str
    required: true
  lock_sha256:
    description: Digest of the lock of the host's suite, as M(edgeai.fleet.bundle_info) returns it in
      C(debian).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Install the time service
  edgeai.fleet.debian_packages:
    name: [chrony]
    lock_sha256: "{{ bundle.debian['bookworm-arm64'].sha256 }}"
    depot_url: http://192.0.2.2:9000
    wheel: "{{ bundle.runtime_wheel }}"
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
  description: What is known about the failure.
  type: dict
  returned: failure
packages:
  description: Those that were installed, or would be.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeai.fleet.plugins.module_utils.bootstrap import OPTIONS, Bootstrap
from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import (
    Answer,
    conclude,
    device_argument_spec,
)


def install(module: AnsibleModule) -> Answer:
    """The wheel, and the packages that it installs."""
    names = module.params["name"]
    wheel = Bootstrap(module)
    answer = wheel.bring()
    if module.check_mode and answer["changed"]:
        # Nobody is there yet who could look.
        done: Answer = {"changed": True, "packages": names, "actions": [f"would install {', '.join(names)}"]}
    else:
        lock = module.params["lock_sha256"]
        done = wheel.run_with_depots("debian", "install", "--lock-sha256", lock, *names)
    changed = answer["changed"] or done["changed"]
    return {**answer, **done, "changed": changed, "actions": [*answer["actions"], *done.get("actions", [])]}


def main() -> None:
    module = AnsibleModule(
        argument_spec=device_argument_spec(
            name={"type": "list", "elements": "str", "required": True},
            lock_sha256={"type": "str", "required": True},
            **OPTIONS,
        ),
        supports_check_mode=True,
    )
    conclude(
        module, lambda: install(module), already=f"{', '.join(module.params['name'])}: installed already"
    )


if __name__ == "__main__":
    main()
