#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds an environment on a device that has nothing but Python."""

from __future__ import annotations

DOCUMENTATION = r"""
module: environment
short_description: Build an environment of locked wheels on a device
description:
  - Fetches the runtime's own wheel from the depot, verifies it, and lets it build the environment straight
    out of the wheel, so that a device needs nothing but Python. If the lock brings the runtime, the device's
    commands C(edgeai) and C(keeper) then come from this environment.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.bootstrap
  - edgeai.fleet.device
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.changes
options:
  lock_sha256:
    description: Digest of the lock; it names the environment. Without it the wheel alone is brought, which
      can run what needs nothing else, such as the depot.
    type: str
"""

EXAMPLES = r"""
- name: Build the runtime's environment
  edgeai.fleet.environment:
    depot_url: http://depot.factory:9000
    wheel: "{{ bundle.runtime_wheel }}"
    lock_sha256: "{{ bundle.locks[measured.target].sha256 }}"
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
environment:
  description: Digest of the lock.
  type: str
  returned: with O(lock_sha256)
path:
  description: The environment's directory.
  type: str
  returned: with O(lock_sha256)
bootstrap:
  description: The runtime's wheel on the device.
  type: str
  returned: success
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeai.fleet.plugins.module_utils.bootstrap import OPTIONS, Bootstrap
from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import (
    Answer,
    conclude,
    device_argument_spec,
)


def predict(root: str, lock: str) -> Answer:
    """What check mode says of a device that has not even the wheel."""
    path = os.path.join(root, "opt", "edgeai", "envs", lock)
    said = f"would build the environment {lock[:12]}"
    return {"changed": True, "environment": lock, "path": path, "actions": [said]}


def bring(module: AnsibleModule) -> Answer:
    """The wheel, and what it builds."""
    params = module.params
    wheel = Bootstrap(module)
    answer = wheel.bring()
    lock = params["lock_sha256"]
    if lock:
        if module.check_mode and answer["changed"]:
            done = [predict(params["root"], lock)]
        else:
            named = ["--lock-sha256", lock]
            build = ["environment", "build", *named, "--python", params["python"]]
            done = [wheel.run_with_depots(*build), wheel.run("environment", "use", *named)]
        for step in done:
            changed = answer["changed"] or step["changed"]
            answer.update(step, changed=changed, actions=[*answer["actions"], *step["actions"]])
    return answer


def main() -> None:
    module = AnsibleModule(
        argument_spec=device_argument_spec(lock_sha256={"type": "str"}, **OPTIONS),
        supports_check_mode=True,
    )
    conclude(module, lambda: bring(module), already="it is complete")


if __name__ == "__main__":
    main()
