#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what a depot offers, verified against the pinned root."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_info
short_description: Read what a depot offers, verified against the pinned root
description:
  - Runs on the controller. Whatever it returns is vouched for by the root it was given.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.info
options:
  depot_url:
    description: Where the bundle is served, or C(file://) and its directory.
    type: str
    required: true
  root_json:
    description: The root of trust, a file on the controller.
    type: path
    required: true
  ca:
    description: Who vouches for the certificate of a depot with C(https), a file on the controller.
    type: path
  python:
    description: An interpreter with C(edgeai_runtime) and what it needs. The default is the one that runs the
      module.
    type: path
notes:
  - In check mode a depot that is not there is no failure, so that a whole site can be checked before there
    is one; RV(readable) is then false.
"""

EXAMPLES = r"""
- name: Read the depot's bundle
  edgeai.fleet.bundle_info:
    depot_url: http://depot.factory:9000
    root_json: bundle/metadata/1.root.json
  delegate_to: localhost
  run_once: true
  register: bundle
"""

RETURN = r"""
readable:
  description: Whether the bundle could be read; false only in check mode.
  type: bool
  returned: success
runtime_version:
  description: Version of the runtime it carries.
  type: str
  returned: when readable
runtime_wheel:
  description: File name, digest and size of the runtime's wheel.
  type: dict
  returned: when readable
targets:
  description: The targets it has wheels for.
  type: list
  elements: str
  returned: when readable
controllers:
  description: The machines that a bare controller may be, which is set up from it.
  type: list
  elements: str
  returned: when readable
debian:
  description: Digest, size and packages of the locks of Debian packages, by suite.
  type: dict
  returned: success
locks:
  description: Digest, size, least glibc and size of the wheels of its locks, by name.
  type: dict
  returned: success
releases:
  description: Versions of its releases, by name.
  type: dict
  returned: when readable
created:
  description: When it was made.
  type: str
  returned: when readable
expires:
  description: Until when it is good.
  type: str
  returned: when readable
msg:
  description: The bundle in one line.
  type: str
  returned: always
"""

import os
import sys

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import Answer, Refused, ask


def sentence(bundle: Answer) -> str:
    """The bundle in one line."""
    names = [f"{name} {', '.join(versions)}" for name, versions in sorted(bundle.get("releases", {}).items())]
    return f"a bundle for {', '.join(bundle.get('targets', []))} with {'; '.join(names) or 'no release'}"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "depot_url": {"type": "str", "required": True},
            "root_json": {"type": "path", "required": True},
            "ca": {"type": "path"},
            "python": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    command = [params["python"] or sys.executable, "-m", "edgeai_runtime", "--json", "bundle", "show"]
    command += ["--depot", params["depot_url"], "--root-json", os.path.abspath(params["root_json"])]
    command += ["--ca", os.path.abspath(params["ca"])] if params["ca"] else []
    try:
        answer = ask(command)
    except Refused as refused:
        # In check mode there may be no bundle yet.
        if not (module.check_mode and refused.failure["kind"] in ("bad_input", "transfer")):
            module.fail_json(**refused.failure)
        said = f"check mode goes on without a bundle: {refused}"
        module.exit_json(changed=False, readable=False, locks={}, debian={}, msg=said)
    bundle = {key: value for key, value in answer.items() if key not in ("ok", "changed", "actions")}
    module.exit_json(changed=False, readable=True, msg=sentence(bundle), **bundle)


if __name__ == "__main__":
    main()
