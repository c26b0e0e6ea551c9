#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says which keys the devices trust."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trust_root
short_description: Say which keys sign for a role and how many must
description:
  - Makes the next root of trust when it should say something else than the one in force, and signs it with
    the keys that are here. It is in force once a threshold of the root before and one of its own have signed.
  - Until then it lies in C(next-root.json) and goes round among those who sign, with
    C(edgeai trust-root sign). The same task again puts it in force.
  - Devices follow with the next bundle, also through several roots that they have not seen.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.changes
  - edgeai.fleet.signing
options:
  roles:
    description: For each role the keys that may sign and how many of them must. Roles that are left out stay
      as they are. A new root has a key of its own for each of them.
    type: dict
    default: {}
    suboptions:
      root:
        description: Who signs for this root and the next.
        type: dict
        suboptions:
          keys:
            description: Names of keys in O(keys_dir), or paths of public halves.
            type: list
            elements: str
            required: true
          threshold:
            description: How many of them must sign.
            type: int
            default: 1
      targets:
        description: Who signs for what a bundle holds.
        type: dict
        suboptions:
          keys:
            description: Names of keys in O(keys_dir), or paths of public halves.
            type: list
            elements: str
            required: true
          threshold:
            description: How many of them must sign.
            type: int
            default: 1
      snapshot:
        description: Who signs for the bundle as a whole.
        type: dict
        suboptions:
          keys:
            description: Names of keys in O(keys_dir), or paths of public halves.
            type: list
            elements: str
            required: true
          threshold:
            description: How many of them must sign.
            type: int
            default: 1
      timestamp:
        description: Who signs for how new it is.
        type: dict
        suboptions:
          keys:
            description: Names of keys in O(keys_dir), or paths of public halves.
            type: list
            elements: str
            required: true
          threshold:
            description: How many of them must sign.
            type: int
            default: 1
  expires_days:
    description: Days for which a root is good. It is made anew when less than half of them is left.
    type: int
    default: 3650
"""

EXAMPLES = r"""
- name: Let two of three people decide which keys are trusted
  edgeai.fleet.trust_root:
    roles:
      root:
        keys: [root-alice, root-bob, root-carol]
        threshold: 2

- name: Give the timestamp a new key
  edgeai.fleet.trust_root:
    roles:
      timestamp:
        keys: [timestamp-2]
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
path:
  description: The file of this root.
  type: str
  returned: success
version:
  description: Its version.
  type: int
  returned: success
in_force:
  description: Whether enough keys have signed it.
  type: bool
  returned: success
missing:
  description: How many signatures are missing, and whose they may be.
  type: list
  elements: str
  returned: success
roles:
  description: Threshold and names of the keys of each role.
  type: list
  elements: dict
  returned: success
expires:
  description: Until when it is good.
  type: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeai.fleet.plugins.module_utils.signing import (
    run_signing,
    signing_argument_spec,
)

ROLES = ("root", "targets", "snapshot", "timestamp")
ROLE = {
    "keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
    "threshold": {"type": "int", "default": 1},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=signing_argument_spec(
            roles={
                "type": "dict",
                "default": {},
                "options": {role: {"type": "dict", "options": ROLE} for role in ROLES},
            },
            expires_days={"type": "int", "default": 3650},
        ),
        supports_check_mode=True,
    )
    words = ["trust-root", "set", "--expires-days", str(module.params["expires_days"])]
    for role in ROLES:
        wanted = module.params["roles"].get(role)
        if wanted:
            words += ["--role", f"{role}={wanted['threshold']}:{','.join(wanted['keys'])}"]
    run_signing(module, words, already="the root of trust says so already")


if __name__ == "__main__":
    main()
