# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a device's own `edgeai` over Ansible's connection: no module is sent, nothing need be there for one.

A module costs half a second of a controller's processor and, on a small device, seconds of loading
Python. These steps need neither: the device's brain is its command, and its answer is one line of JSON.
"""

from __future__ import annotations

import shlex
from typing import Any, ClassVar, Dict, List, NamedTuple, Optional

from ansible_collections.edgeai.fleet.plugins.module_utils.answer import (
    Answer,
    Refused,
    as_result,
    read_answer,
)
from ansible_collections.edgeai.fleet.plugins.plugin_utils.device_action import DeviceAction, Result

NOT_PROVISIONED = 77  # exit status: no error of the command's own

# The runtime's files tell whose it is: root acts as their owner.
SCRIPT = """opt={opt}
[ -x "$opt/bin/edgeai" ] || exit {not_provisioned}
owner=$(stat -c %U "$opt")
if [ "$(id -u)" = 0 ] && [ "$owner" != root ]; then
  exec runuser -u "$owner" -- "$opt/bin/edgeai" --json {arguments}
fi
exec "$opt/bin/edgeai" --json {arguments}
"""


class Step(NamedTuple):
    """One command of the device. `would` says in check mode what it is for; `predicts`: it knows --check."""

    arguments: List[str]
    would: str
    predicts: bool = True


class DeviceCommand(DeviceAction):
    """An action that is one or more commands of the device, and their answers as its result."""

    ARGUMENTS: ClassVar[Dict[str, Any]] = {}
    RULES: ClassVar[Dict[str, Any]] = {}  # of the argument specification: required_if and the like

    def steps(self, params: Dict[str, Any]) -> List[Step]:
        """The commands that lead to what is asked for. Raises Refused."""
        raise NotImplementedError

    def already(self, params: Dict[str, Any]) -> str:
        """What is said when the device had nothing to do and did not say so itself."""
        return "there was nothing to do"

    def act(self, task_vars: Dict[str, Any]) -> Result:
        specification = {"root": {"type": "path", "default": "/"}, **self.ARGUMENTS}
        _, params = self.validate_argument_spec(specification, **self.RULES)
        try:
            answer = self.walk(params["root"], self.steps(params))
        except Refused as refused:
            return refused.result
        return as_result(answer, params["root"], self.already(params))

    def walk(self, root: str, todo: List[Step]) -> Answer:
        """Take the steps until the generation is confirmed; what was said adds up.

        Check mode ends at the first step that would change something: what follows depends on it.
        """
        check: bool = self._task.check_mode
        result: Answer = {"changed": False, "actions": []}
        for step in todo:
            if check and not step.predicts:
                continue
            answer = self.ask(root, [*step.arguments, *(["--check"] if check else [])])
            if answer is None:
                answer = {"changed": True, "actions": [step.would]}
            result = {
                **result,
                **answer,
                "changed": bool(result["changed"] or answer.get("changed")),
                "actions": [*result["actions"], *answer.get("actions", [])],
            }
            if answer.get("phase") == "confirmed" or (check and result["changed"]):
                break
        return result

    def ask(self, root: str, arguments: List[str]) -> Optional[Answer]:
        """The answer of the device's `edgeai`; None in check mode where there is no `edgeai` yet.

        Raises Refused with the device's own sentence when it could not do it.
        """
        opt = f"{root.rstrip('/')}/opt/edgeai"
        script = SCRIPT.format(
            opt=shlex.quote(opt), not_provisioned=NOT_PROVISIONED, arguments=shlex.join(arguments)
        )
        command = f"{self._compute_environment_string()} /bin/sh -c {shlex.quote(script)}".strip()
        done = self._low_level_execute_command(command)
        if done["rc"] == NOT_PROVISIONED:
            if self._task.check_mode:
                return None
            raise Refused(
                f"{opt}/bin/edgeai is not there: this device is not provisioned; run the playbook "
                "edgeai.fleet.provision for it first.",
                kind="not_provisioned",
            )
        shown = f"{opt}/bin/edgeai {shlex.join(arguments)}"
        return read_answer(done["stdout"], done["stderr"], done["rc"], shown)
