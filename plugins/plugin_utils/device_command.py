# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the device's own `edgeai` over the connection, without sending a module first.

All that such an action does on the device is one command whose answer is JSON. A module to start it
would cost a Raspberry Pi more time than the command, and half of what a run costs the controller.
"""

from __future__ import annotations

import posixpath
import shlex
import time
from typing import Any, ClassVar, Dict, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import (
    Answer,
    Refused,
    accept,
    device_argument_spec,
    understand,
)
from ansible_collections.edgeai.fleet.plugins.plugin_utils.device_action import DeviceAction, Result

PATIENCE_S, RETRY_S = 300.0, 5.0  # for a connection that was lost in the middle of a job
NOT_THERE = (126, 127)  # what a shell says of a program that cannot be run, or is not there (POSIX 2.8.2)


class DeviceCommand(DeviceAction):
    """An action that asks `edgeai`; `OPTIONS` are its own arguments, `RULES` how they go together."""

    OPTIONS: ClassVar[Dict[str, Any]] = {}
    RULES: ClassVar[Dict[str, Any]] = {}

    def work(self, task_vars: Dict[str, Any]) -> Result:
        self._name = str(task_vars.get("inventory_hostname", "the device"))
        _result, parameters = self.validate_argument_spec(
            argument_spec=device_argument_spec(**self.OPTIONS), **self.RULES
        )
        try:
            return self.conclude(parameters)
        except Refused as refused:
            return {"failed": True, "changed": False, **refused.failure}

    def conclude(self, parameters: Dict[str, Any]) -> Result:
        """The result of the task; raises Refused."""
        raise NotImplementedError

    def ask(self, root: str, *arguments: str) -> Optional[Answer]:
        """The answer to `edgeai ARGUMENTS`; raises Refused.

        None in check mode on a device that has no `edgeai` yet.
        """
        program = posixpath.join(root, "opt/edgeai/bin/edgeai")
        command = [program, "--json", *arguments]
        words = " ".join(map(shlex.quote, command))
        done = self._low_level_execute_command(f"{self._compute_environment_string()} {words}".strip())
        if done["rc"] in NOT_THERE:
            if self._task.check_mode:
                return None
            raise Refused(
                f"{program} is not there: this device is not provisioned; run the playbook "
                "edgeai.fleet.provision for it first.",
                kind="not_provisioned",
            )
        return understand(command, done["rc"], done["stdout"], done["stderr"])

    def ask_for_long(self, root: str, *arguments: str, would: str) -> Answer:
        """As `ask_to_change`, for a command that takes minutes: it goes on while the connection is lost, and
        what it tells meanwhile is shown."""
        if self._task.check_mode:
            return self.ask_to_change(root, *arguments, would=would)
        try:
            started = self.ask(root, "job", "start", *arguments) or {}
        except Refused as refused:
            if refused.failure["kind"] != "no_answer":
                raise
            return self.ask_to_change(root, *arguments, would=would)  # a runtime that knows no jobs yet
        lost_since: Optional[float] = None
        told: Answer = {"answer": None, "next": 0}
        while told["answer"] is None:
            try:
                after = str(told["next"])
                told = self.ask(root, "job", "wait", "--after", after, str(started["job"])) or told
            except AnsibleConnectionFailure:
                lost_since = lost_since or time.monotonic()
                if time.monotonic() - lost_since > PATIENCE_S:
                    raise
                self._display.vv(f"{self._name}: the connection was lost; trying again in {RETRY_S} s")
                time.sleep(RETRY_S)
                self._connection.reset()
                continue
            lost_since = None
            for sentence in told["sentences"]:
                self._display.display(f"    [{self._name}] {sentence}")
        return accept(told["answer"])

    def ask_to_change(self, root: str, *arguments: str, would: str) -> Answer:
        """As `ask`, for a command that knows --check; `would` is said where nobody can predict."""
        check = ["--check"] if self._task.check_mode else []
        return self.ask(root, *arguments, *check) or {"changed": True, "actions": [would]}
