#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes everything of ours off a device."""

from __future__ import annotations

DOCUMENTATION = r"""
module: device
short_description: Take everything that provisioning put on a device off again
description:
  - Stops the services, then deletes C(opt/edgeai), C(var/lib/edgeai), C(etc/edgeai) and C(run/edgeai) below
    O(root) and our own units of systemd. Nothing else is deleted. Directories above them, O(root) among
    them, go only where O(root) is not C(/) and they are empty.
  - Needs nothing installed, and works on a device that is half provisioned.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.device
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.changes
options:
  state:
    description: Nothing of ours is on the device.
    type: str
    choices: [absent]
    required: true
  stop_timeout_s:
    description: Seconds the services may take to finish what they have.
    type: float
    default: 90
"""

EXAMPLES = r"""
- name: Take everything off the device
  edgeai.fleet.device:
    state: absent
"""

RETURN = r"""
changed:
  description: Whether something was removed, or would be in check mode.
  type: bool
  returned: always
actions:
  description: What was done, or would be, one sentence each.
  type: list
  elements: str
  returned: success
msg:
  description: The same in one line, or why it failed.
  type: str
  returned: always
"""

import glob
import os
import shutil
import signal
import subprocess
import time
from typing import List, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import (
    device_argument_spec,
    finish,
)

OURS = ("opt/edgeai", "var/lib/edgeai", "etc/edgeai", "run/edgeai")
ABOVE = ("opt", "var/lib", "var", "etc", "run", "")
UNITS = "/etc/systemd/system/edgeai-*.service"


def running_supervisor(root: str) -> Optional[int]:
    """The process id of this root's supervisord, None when it does not run.

    The process must name this root's own configuration: a pid file that outlived a restart of the
    machine names somebody else.
    """
    configuration = os.path.join(root, "etc/edgeai/supervisord.conf")
    try:
        with open(os.path.join(root, "run/edgeai/supervisord.pid"), encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(configuration) in words else None


def stop_supervisor(module: AnsibleModule, root: str, pid: int) -> None:
    """End supervisord, which drains and ends what it runs; the module fails when it stays."""
    os.kill(pid, signal.SIGTERM)
    give_up = time.monotonic() + module.params["stop_timeout_s"]
    while running_supervisor(root) is not None:
        if time.monotonic() > give_up:
            module.fail_json(
                msg=f"process {pid} did not end within {module.params['stop_timeout_s']:g} s; look at "
                f"{root}/var/lib/edgeai/log, end it, then run this again.",
                kind="still_running",
                details={},
            )
        time.sleep(0.05)


def remove_units(module: AnsibleModule, units: List[str]) -> None:
    """Stop, disable and delete our units; the module fails with systemctl's words."""
    names = [os.path.basename(unit) for unit in units]
    commands = [["systemctl", "disable", "--now", *names], ["systemctl", "daemon-reload"]]
    for command in commands:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            said = " ".join(done.stdout.decode(errors="replace").split())
            module.fail_json(msg=f"{' '.join(command)} failed: {said}", kind="still_running", details={})
        if command is commands[0]:
            for unit in units:
                os.unlink(unit)


def main() -> None:
    module = AnsibleModule(
        argument_spec=device_argument_spec(
            state={"type": "str", "choices": ["absent"], "required": True},
            stop_timeout_s={"type": "float", "default": 90.0},
        ),
        supports_check_mode=True,
    )
    root = os.path.abspath(module.params["root"])
    removed = "would remove" if module.check_mode else "removed"
    actions = []
    units = sorted(glob.glob(UNITS)) if root == "/" else []
    pid = running_supervisor(root)
    if units:
        actions.append(f"{removed} {', '.join(map(os.path.basename, units))}")
        if not module.check_mode:
            remove_units(module, units)
    if pid is not None:
        actions.append("would stop the services" if module.check_mode else "stopped the services")
        if not module.check_mode:
            stop_supervisor(module, root, pid)
    for path in (os.path.join(root, name) for name in OURS):
        if os.path.isdir(path):
            actions.append(f"{removed} {path}")
            if not module.check_mode:
                shutil.rmtree(os.path.realpath(path))
                if os.path.islink(path):
                    os.unlink(path)
    if root != "/":
        for path in (os.path.normpath(os.path.join(root, name)) for name in ABOVE):
            if not module.check_mode and os.path.isdir(path) and not os.listdir(path):
                os.rmdir(path)
    finish(module, {"changed": bool(actions), "actions": actions}, would="", already="nothing of ours is there")


if __name__ == "__main__":
    main()
