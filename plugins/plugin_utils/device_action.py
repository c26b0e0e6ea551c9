# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a device module and makes a lost device a failure that `rescue` can see.

Ansible drops an unreachable host from the play without its `rescue`, and when a whole batch is
unreachable no later play runs: a rollout would end without a verdict. Every module that runs on a
device has an action of its name in plugins/action, which is this one.
"""

from __future__ import annotations

from typing import Any, Dict, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase


class DeviceAction(ActionBase):  # type: ignore[misc]
    """The module of the same name, run as every module is."""

    _supports_async = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        try:
            result.update(self._execute_module(task_vars=task_vars, wrap_async=self._task.async_val))
        except AnsibleConnectionFailure as error:
            said = " ".join(str(error.message).split()).rpartition("over ssh: ")[2].rstrip(".")
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
