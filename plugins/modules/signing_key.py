#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a signing key on the workstation."""

from __future__ import annotations

DOCUMENTATION = r"""
module: signing_key
short_description: Make a key that signs bundles or roots of trust
description:
  - Makes an ed25519 key as a PEM file that its owner alone may read, and its public half beside it. A key
    that is there is left as it is.
  - What it may sign for says the root of trust, see M(edgeai.fleet.trust_root).
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.changes
  - edgeai.fleet.signing
options:
  name:
    description: The key's name, which its files have, such as V(root-alice).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Make Alice's key for the root of trust
  edgeai.fleet.signing_key:
    name: root-alice
    passphrase: "{{ vault_passphrase }}"
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
key:
  description: The file of the key.
  type: str
  returned: success
public:
  description: The file of its public half, which is all that others need to admit it.
  type: str
  returned: success
keyid:
  description: The id that the root of trust knows it by, empty for one not made yet.
  type: str
  returned: success
encrypted:
  description: Whether the key is encrypted.
  type: bool
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
        ),
        supports_check_mode=True,
    )
    name = module.params["name"]
    run_signing(module, ["key", "new", name], already=f"there is a key {name}")


if __name__ == "__main__":
    main()
