#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Revokes a release."""

from __future__ import annotations

DOCUMENTATION = r"""
module: revocation
short_description: Revoke a release, so that devices refuse it
description:
  - Writes a release into the list of those that must not run, which every bundle made with these keys
    carries, signed. Devices that have seen it refuse the release by name and with the reason.
  - A bundle that is to hold the release is refused. What already serves it goes on and raises an alarm. There
    is no way back; what is good again gets a new version.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.changes
  - edgeai.fleet.signing
options:
  name:
    description: The release's name.
    type: str
    required: true
  version:
    description: Its version.
    type: str
    required: true
  reason:
    description: Why, in one line that the devices tell.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Revoke a release that reads wrong
  edgeai.fleet.revocation:
    name: label-reader
    version: 1.1.0
    reason: reads 8 as B
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
  description: The file of the list.
  type: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeai.fleet.plugins.module_utils.signing import (
    run_signing,
    signing_argument_spec,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec=signing_argument_spec(
            name={"type": "str", "required": True},
            version={"type": "str", "required": True},
            reason={"type": "str", "required": True},
        ),
        supports_check_mode=True,
    )
    params = module.params
    words = ["release", "revoke", params["name"], params["version"], f"--reason={params['reason']}"]
    run_signing(module, words, already=f"{params['name']} {params['version']} was revoked for that before")


if __name__ == "__main__":
    main()
