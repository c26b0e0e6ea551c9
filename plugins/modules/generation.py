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
      - V(confirmed) keeps the generation on trial.
      - V(rolled_back) takes the model of release O(name) back to O(version), or to the newest one confirmed
        here before, and keeps the others.
    type: str
    choices: [trial, soaked, confirmed, rolled_back]
    required: true
  name:
    description: The release's name, for V(trial) and V(rolled_back).
    type: str
  version:
    description: The release's version. Required for V(trial) with O(name).
    type: str
  environment:
    description: Digest of the environment to try instead of a release.
    type: str
  deadline_s:
    description: Seconds after which the device takes back what nobody confirmed.
    type: float
    default: 600
  soak_s:
    description: Seconds to watch.
    type: float
    default: 300
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

- name: Watch it in use
  edgeai.fleet.generation:
    state: soaked
    soak_s: 300

- name: Keep it
  edgeai.fleet.generation:
    state: confirmed
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

from typing import Any, Dict, List, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import (
    ask_device,
    device_argument_spec,
    finish,
)


def command(params: Dict[str, Any]) -> Tuple[List[str], str, str]:
    """The arguments of `edgeai`, what would be done, and what is said when nothing was to be done."""
    state, name, version = params["state"], params["name"], params["version"]
    actor = ["--actor", params["actor"]]
    if state == "trial":
        arguments = ["trial", "--deadline", str(params["deadline_s"]), *actor]
        if params["environment"]:
            what = f"the environment {params['environment'][:12]}"
            return [*arguments, "--environment", params["environment"]], f"would try {what}", f"{what} serves"
        what = f"{name} {version}"
        return [*arguments, "--release", name, version], f"would try {what}", f"{what} serves"
    if state == "soaked":
        seconds = f"{params['soak_s']:g} s"
        return ["soak", "--seconds", str(params["soak_s"])], "", f"the trial went well for {seconds}"
    if state == "confirmed":
        return ["confirm", *actor], "would confirm the trial", "it was confirmed before"
    to = ["--to", version] if version else []
    where = version or "what was confirmed before"
    return (
        ["rollback", "--release", name, *to, *actor],
        f"would take {name} back to {where}",
        f"{name} {where} serves",
    )


def check_arguments(module: AnsibleModule) -> None:
    """What the argument specification cannot say."""
    params = module.params
    if params["state"] != "trial":
        return
    if bool(params["name"]) == bool(params["environment"]):
        module.fail_json(msg="A trial is of a release (name and version) or of an environment; give one of them.")
    if params["name"] and not params["version"]:
        module.fail_json(msg=f"A trial of {params['name']} needs its version; give it.")


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
            soak_s={"type": "float", "default": 300.0},
            actor={"type": "str", "default": "ansible"},
        ),
        required_if=[("state", "rolled_back", ["name"])],
        supports_check_mode=True,
    )
    check_arguments(module)
    arguments, would, already = command(module.params)
    if module.check_mode:
        if module.params["state"] == "soaked":
            module.exit_json(
                changed=False, actions=[], msg=f"would watch the trial for {module.params['soak_s']:g} s"
            )
        arguments.append("--check")
    finish(module, ask_device(module, *arguments), would, already)


if __name__ == "__main__":
    main()
