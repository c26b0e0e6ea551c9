# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all actions on a device share: a lost device is a failure that `rescue` can see.

Ansible drops an unreachable host from the play without its `rescue`, and when a whole batch is
unreachable no later play runs: a rollout would end without a verdict.
"""

from __future__ import annotations

from typing import Any, Dict, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

Result = Dict[str, Any]


class DeviceAction(ActionBase):  # type: ignore[misc]
    """Runs the module of the same name on the device, unless `act` says otherwise."""

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        try:
            return {**result, **self.act(task_vars or {})}
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

    def act(self, task_vars: Dict[str, Any]) -> Result:
        """What is done; AnsibleConnectionFailure means that the device was lost."""
        result: Result = self._execute_module(task_vars=task_vars)
        return result
