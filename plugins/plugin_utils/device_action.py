# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a lost device a failure that `rescue` can see.

Ansible drops an unreachable host from the play without its `rescue`, and when a whole batch is
unreachable no later play runs: a rollout would end without a verdict. Everything that runs on a
device has an action of its name in plugins/action, which is one of these.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
from typing import Any, ClassVar, Dict, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

Result = Dict[str, Any]


class DeviceAction(ActionBase):  # type: ignore[misc]
    """Something done on a device; `work` says what.

    What is not given is as the inventory says, where it says it: an ad-hoc command then needs no
    arguments.
    """

    OF_INVENTORY: ClassVar[Dict[str, str]] = {"root": "runtime_root"}

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        for option, variable in self.OF_INVENTORY.items():
            if variable in task_vars:
                self._task.args.setdefault(option, self._templar.template(task_vars[variable]))
        self._name_actor(str(self._templar.template(task_vars.get("release_rollout_id") or "")))
        try:
            result.update(self.work(task_vars))
        except AnsibleConnectionFailure as error:
            # Ansible's own words in front say what it was about to do, and send to a log.
            said = re.split("(?:over|via) ssh: ", " ".join(str(error.message).split()))[-1].rstrip(".")
            # Its own words were not waited for; before ansible-core 2.19 the system's error stands there.
            if said.startswith(("Data could not be sent", "[Errno")):
                said = "ssh ended while it was sent what to do"
            return {
                **result,
                "failed": True,
                "unreached": True,
                "changed": False,
                "msg": f"the device was not reached ({said}); check its power and its network, then run "
                "it again.",
            }
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _name_actor(self, rollout: str) -> None:
        """Have the device's journal say who runs this, and for which rollout; a user's own word wins."""
        actor = f"{os.environ.get('SUDO_USER') or getpass.getuser()}@{socket.gethostname()}"
        if rollout:
            actor += f", rollout {rollout}"
        self._task.environment = [*(self._task.environment or []), {"EDGEAI_ACTOR": actor}]

    def work(self, task_vars: Dict[str, Any]) -> Result:
        """The result of the task; raises AnsibleConnectionFailure for a lost device."""
        raise NotImplementedError


class ModuleOnDevice(DeviceAction):
    """The module of the same name, run as every module is."""

    _supports_async = True

    def work(self, task_vars: Dict[str, Any]) -> Result:
        result: Result = self._execute_module(task_vars=task_vars, wrap_async=self._task.async_val)
        return result


class ModuleForPython(ModuleOnDevice):
    """A module that is told which interpreter the device's environments are made with."""

    OF_INVENTORY: ClassVar[Dict[str, str]] = {**ModuleOnDevice.OF_INVENTORY, "python": "runtime_python"}
