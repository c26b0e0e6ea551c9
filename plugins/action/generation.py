# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets a device try, watch, keep or take back a generation; plugins/modules/generation.py documents it."""

from __future__ import annotations

from typing import Any, ClassVar, Dict, List, NamedTuple, Optional

from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import Answer, Refused, result_of
from ansible_collections.edgeai.fleet.plugins.plugin_utils.device_command import DeviceCommand


class Step(NamedTuple):
    """One command of the device. `would` says in check mode what it is for; None: it knows no --check."""

    arguments: List[str]
    would: Optional[str]


class ActionModule(DeviceCommand):
    OPTIONS: ClassVar[Dict[str, Any]] = {
        "state": {
            "type": "str",
            "choices": ["trial", "soaked", "confirmed", "rolled_back"],
            "required": True,
        },
        "name": {"type": "str"},
        "version": {"type": "str"},
        "environment": {"type": "str"},
        "deadline_s": {"type": "float", "default": 600.0},
        "soak_s": {"type": "float"},
    }
    RULES: ClassVar[Dict[str, Any]] = {
        "mutually_exclusive": [("name", "environment")],
        "required_if": [
            ("state", "trial", ["name", "environment"], True),
            ("state", "soaked", ["soak_s"]),
            ("state", "rolled_back", ["name"]),
        ],
    }

    def conclude(self, parameters: Dict[str, Any]) -> Dict[str, Any]:
        name = parameters["name"]
        if name and not parameters["version"] and parameters["state"] != "rolled_back":
            raise Refused(f"{name} needs a version to be tried; give it.", kind="bad_input")
        root = parameters["root"]
        return result_of(self.walk(root, steps(parameters)), "there was nothing to do", root)

    def walk(self, root: str, todo: List[Step]) -> Answer:
        """Take the steps until the generation is confirmed; what was said adds up.

        Check mode ends at the first step that would change something: what follows depends on it.
        """
        result: Answer = {"changed": False, "actions": []}
        for step in todo:
            if step.would is not None:
                answer = self.ask_to_change(root, *step.arguments, would=step.would)
            elif self._task.check_mode:
                continue
            else:
                answer = self.ask(root, *step.arguments) or {}
            figures = measured(answer.get("verdict") or {})
            if figures:
                answer["measured"] = figures
                answer["actions"] = [f"measured {figures}", *answer.get("actions", [])]
            result = {
                **result,
                **answer,
                "changed": result["changed"] or answer["changed"],
                "actions": [*result["actions"], *answer.get("actions", [])],
            }
            if answer.get("phase") == "confirmed" or (self._task.check_mode and result["changed"]):
                break
        return result


def steps(parameters: Dict[str, Any]) -> List[Step]:
    """The commands that lead to the state."""
    name, version, environment = (parameters[key] for key in ("name", "version", "environment"))
    if parameters["state"] == "rolled_back":
        to = ["--to", version] if version else []
        would = f"would take {name} back to {version or 'the version before'}"
        return [Step(["rollback", "--release", name, *to], would)]
    deadline = ["--deadline", str(parameters["deadline_s"])]
    soak = Step(["soak", "--seconds", str(parameters["soak_s"])], None)
    confirm = Step(["confirm"], "would confirm it")
    trial = []
    if environment:
        arguments = ["trial", "--environment", environment, *deadline]
        trial = [Step(arguments, f"would try the environment {environment[:12]}")]
    elif name:
        arguments = ["trial", "--release", name, version, *deadline]
        trial = [Step(arguments, f"would try {name} {version}")]
    if parameters["state"] == "trial":
        return trial
    if parameters["state"] == "soaked":
        return [soak]
    return [*trial, *([soak] if parameters["soak_s"] else []), confirm]


def measured(verdict: Dict[str, Any]) -> str:
    """The gates of a verdict in a line: what was measured, and what is required."""
    return ", ".join(
        f"{gate['gate']} {gate['measured']:.4g} (required {gate['required']:g})"
        for gate in verdict.get("gates", [])
        if gate["measured"] is not None
    )
