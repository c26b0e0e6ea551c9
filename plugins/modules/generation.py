#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves a device from one generation to another, and back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: generation
short_description: Try, watch, confirm and take back generations on a device
description:
  - A generation binds an environment, converted models and a configuration. The device proves it through the
    gates of its releases before it switches, watches it while it is on trial, and takes it back on its own
    when it is worse or when nobody confirms it in time.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.device
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.changes
options:
  state:
    description:
      - V(trial) proves a generation with the release O(name) O(version), or with O(environment), and switches
        to it on trial.
      - V(soaked) watches the trial for O(soak_s) seconds and fails as soon as the device takes it back.
      - V(confirmed) keeps the generation on trial. With O(soak_s) it is watched before, and with O(name) or
        O(environment) it is tried before that, so that V(confirmed) alone may be all that is said.
      - V(rolled_back) takes the model of release O(name) back to O(version), or to the newest one confirmed
        here before, and keeps the others.
    type: str
    choices: [trial, soaked, confirmed, rolled_back]
    required: true
  name:
    description: The release's name.
    type: str
  version:
    description: The release's version. Only V(rolled_back) does without.
    type: str
  environment:
    description: Digest of the environment to try instead of a release.
    type: str
  deadline_s:
    description: Seconds after which the device takes back what nobody confirmed.
    type: float
    default: 600
  soak_s:
    description: Seconds to watch. Required for V(soaked).
    type: float
  actor:
    description: Who asks, for the device's journal.
    type: str
    default: ansible
"""

EXAMPLES = r"""
- name: Prove the release on this device and switch to it on trial
  edgeai.fleet.generation:
    state: trial
    name: label-reader
    version: 1.1.0

- name: Watch it in use, then keep it
  edgeai.fleet.generation:
    state: confirmed
    soak_s: 300

- name: Go back to the version before
  edgeai.fleet.generation:
    state: rolled_back
    name: label-reader
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
generation:
  description: The generation's number.
  type: int
  returned: when the device was asked
phase:
  description: C(trial), or C(confirmed) when there was nothing to do.
  type: str
  returned: for V(trial)
verdict:
  description: The gates of a trial with what was measured and what is required.
  type: dict
  returned: for V(trial)
measured:
  description: The same in a line.
  type: str
  returned: when gates were measured
requests:
  description: Requests answered during the soak.
  type: int
  returned: for V(soaked)
errors:
  description: Those that failed.
  type: int
  returned: for V(soaked)
version:
  description: The version that serves now.
  type: str
  returned: for V(rolled_back)
"""

from typing import Any, Dict, List, NamedTuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import (
    Answer,
    ask_device,
    device_argument_spec,
    fail,
    finish,
)


class Step(NamedTuple):
    """One command of the device. `would` says in check mode what it is for; `predicts`: it knows --check."""

    arguments: List[str]
    would: str
    predicts: bool = True


def steps(params: Dict[str, Any]) -> List[Step]:
    """The commands that lead to the state."""
    actor = ["--actor", params["actor"]]
    what, arguments = target(params)
    deadline = ["--deadline", str(params["deadline_s"])]
    trial = Step(["trial", *arguments, *deadline, *actor], f"would try {what}")
    soak = Step(["soak", "--seconds", str(params["soak_s"])], "would watch it", predicts=False)
    confirm = Step(["confirm", *actor], "would confirm it")
    if params["state"] == "trial":
        return [trial]
    if params["state"] == "soaked":
        return [soak]
    if params["state"] == "confirmed":
        return [*([trial] if arguments else []), *([soak] if params["soak_s"] else []), confirm]
    to = ["--to", params["version"]] if params["version"] else []
    would = f"would take {params['name']} back to {params['version'] or 'the version before'}"
    return [Step(["rollback", "--release", params["name"], *to, *actor], would)]


def target(params: Dict[str, Any]) -> Any:
    """What is tried, in words and as arguments; both empty when nothing is."""
    if params["environment"]:
        return f"the environment {params['environment'][:12]}", ["--environment", params["environment"]]
    if params["name"]:
        return f"{params['name']} {params['version']}", ["--release", params["name"], str(params["version"])]
    return "", []


def measured(verdict: Dict[str, Any]) -> str:
    """The gates of a verdict in a line: what was measured, and what is required."""
    return ", ".join(
        f"{gate['gate']} {gate['measured']:.4g} (required {gate['required']:g})"
        for gate in verdict.get("gates", [])
        if gate["measured"] is not None
    )


def walk(module: AnsibleModule, todo: List[Step]) -> Answer:
    """Take the steps until the generation is confirmed; what was said adds up.

    Check mode ends at the first step that would change something: what follows depends on it.
    """
    result: Answer = {"changed": False, "actions": []}
    for step in todo:
        if module.check_mode and not step.predicts:
            continue
        answer = ask_device(module, *step.arguments, *(["--check"] if module.check_mode else []))
        if answer is None:
            answer = {"changed": True, "actions": [step.would]}
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
        if answer.get("phase") == "confirmed" or (module.check_mode and result["changed"]):
            break
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec=device_argument_spec(
            state={
                "type": "str",
                "choices": ["trial", "soaked", "confirmed", "rolled_back"],
                "required": True,
            },
            name={"type": "str"},
            version={"type": "str"},
            environment={"type": "str"},
            deadline_s={"type": "float", "default": 600.0},
            soak_s={"type": "float"},
            actor={"type": "str", "default": "ansible"},
        ),
        mutually_exclusive=[("name", "environment")],
        required_if=[
            ("state", "trial", ["name", "environment"], True),
            ("state", "soaked", ["soak_s"]),
            ("state", "rolled_back", ["name"]),
        ],
        supports_check_mode=True,
    )
    params = module.params
    if params["name"] and not params["version"] and params["state"] != "rolled_back":
        fail(module, f"{params['name']} needs a version to be tried; give it.", kind="bad_input")
    finish(module, walk(module, steps(params)), would="", already="there was nothing to do")


if __name__ == "__main__":
    main()
