#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the settings of a device's own system exactly those of a list, and undoes all others."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tuning
short_description: Tune a device's own system, and take it back
description:
  - Makes O(settings), and undoes every setting it made before that is not among them any more. With an
    empty list everything is as it was.
  - What was there before is remembered below C(etc/edgeai/tuning), written down before anything is changed,
    so that an interrupted run can be repeated or undone. What somebody else has changed since is left as it
    is.
  - What a restart would lose is set again by the unit C(edgeai-tuning.service).
  - A setting that does not concern a device is left out, with the reason in RV(left_out).
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.device
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.changes
options:
  settings:
    description: What to set, in order. Each has one of O(settings[].file), O(settings[].sysfs) and
      O(settings[].set).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What it is called.
        type: str
        required: true
      value:
        description: What to set. It takes the place of C({value}) in all texts of the setting.
        type: str
      file:
        description: A file to write.
        type: str
      content:
        description: What is in it.
        type: str
      sysfs:
        description: A shell pattern of files in C(/sys) or C(/proc/sys), each of which gets
          O(settings[].value).
        type: str
      set:
        description: A command that sets O(settings[].value).
        type: list
        elements: str
      query:
        description: A command that tells what is set. Without it a setting counts as made once it was.
        type: list
        elements: str
      pattern:
        description: Where in the answer of O(settings[].query) the value is, a regular expression with one
          group.
        type: str
      unset:
        description: A command for the way back where no value was found before.
        type: list
        elements: str
      store:
        description: A command that keeps what there is in the file C({stored}), run before the first change.
        type: list
        elements: str
      names:
        description: Where the system numbers the names that O(settings[].value) may be.
        type: dict
        suboptions:
          file:
            description: The file that does.
            type: str
            required: true
          pattern:
            description: A number and its name in it, a regular expression with two groups.
            type: str
            required: true
      at_boot:
        description: Whether to run O(settings[].set) at each start. Values of O(settings[].sysfs) always are.
        type: bool
        default: false
      needs:
        description: Shell patterns of files, one of which must be there, else the setting is left out.
        type: list
        elements: str
        default: []
      unless:
        description: Shell patterns of files of which none may be there, else the setting is left out.
        type: list
        elements: str
        default: []
      only_if:
        description: A command that fails where the setting does not concern the device. It is left out then.
        type: list
        elements: str
      machine:
        description: Whether it changes the machine itself, which is left out in a container. Values of
          O(settings[].sysfs) always do.
        type: bool
        default: false
      settle:
        description: Commands that let the system notice, after each change and after the way back.
        type: list
        elements: list
        default: []
      apply:
        description: Commands after each change.
        type: list
        elements: list
        default: []
      undo:
        description: Commands before the way back.
        type: list
        elements: list
        default: []
"""

EXAMPLES = r"""
- name: Let the processor run at its full speed, and keep the journal small
  edgeai.fleet.tuning:
    settings:
      - name: cpu_governor
        sysfs: /sys/devices/system/cpu/cpufreq/policy*/scaling_governor
        value: performance
      - name: journal
        file: /etc/systemd/journald.conf.d/90-edgeai.conf
        value: 64M
        content: |
          [Journal]
          SystemMaxUse={value}
        settle: [[systemctl, restart, systemd-journald.service]]

- name: Take all of it back
  edgeai.fleet.tuning:
    settings: []
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
left_out:
  description: Settings that were left out, each with the reason.
  type: dict
  returned: success
  sample: {gpu_render: no /dev/dri/renderD*}
msg:
  description: The same in one line, or why it failed.
  type: str
  returned: always
"""

import os
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import device_argument_spec
from ansible_collections.edgeai.fleet.plugins.module_utils.tuning import Tuner
from ansible_collections.edgeai.fleet.plugins.module_utils.tuning_ways import System, Untunable

WORDS: Dict[str, Any] = {"type": "list", "elements": "str"}
PATTERNS: Dict[str, Any] = {"type": "list", "elements": "str", "default": []}
COMMANDS: Dict[str, Any] = {"type": "list", "elements": "list", "default": []}
SETTING: Dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "value": {"type": "str"},
    "file": {"type": "str"},
    "content": {"type": "str"},
    "sysfs": {"type": "str"},
    "set": WORDS,
    "query": WORDS,
    "pattern": {"type": "str"},
    "unset": WORDS,
    "store": WORDS,
    "names": {
        "type": "dict",
        "options": {
            "file": {"type": "str", "required": True},
            "pattern": {"type": "str", "required": True},
        },
    },
    "at_boot": {"type": "bool", "default": False},
    "needs": PATTERNS,
    "unless": PATTERNS,
    "only_if": WORDS,
    "machine": {"type": "bool", "default": False},
    "settle": COMMANDS,
    "apply": COMMANDS,
    "undo": COMMANDS,
}
TOGETHER = [("file", "content"), ("query", "pattern")]


def main() -> None:
    module = AnsibleModule(
        argument_spec=device_argument_spec(
            settings={
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": SETTING,
                "required_together": TOGETHER,
                "mutually_exclusive": [("file", "sysfs", "set")],
                "required_one_of": [("file", "sysfs", "set")],
                "required_by": {"sysfs": "value"},
            }
        ),
        supports_check_mode=True,
    )
    system = System(os.path.abspath(module.params["root"]))
    try:
        tuned = Tuner(system, module.check_mode).tune(module.params["settings"])
    except Untunable as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(tuned.actions),
        actions=tuned.actions,
        left_out=tuned.left_out,
        msg="; ".join(tuned.actions) or "everything is set as it shall be",
        diff=tuned.diff,
    )


if __name__ == "__main__":
    main()
