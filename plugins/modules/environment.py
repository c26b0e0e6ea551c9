#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds an environment on a device that has nothing but Python."""

from __future__ import annotations

DOCUMENTATION = r"""
module: environment
short_description: Build an environment of locked wheels on a device
description:
  - Fetches the runtime's own wheel from the depot, verifies it, and lets it build the environment straight
    out of the wheel, so that a device needs nothing but Python. If the lock brings the runtime, the device's
    commands C(edgeai) and C(keeper) then come from this environment.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.device
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.changes
options:
  depot_url:
    description: Where the bundle is served, or C(file://) and its directory.
    type: str
    required: true
  wheel:
    description: The runtime's wheel, as M(edgeai.fleet.bundle_info) returns it.
    type: dict
    required: true
    suboptions:
      filename:
        description: Its file name.
        type: str
        required: true
      sha256:
        description: Its digest.
        type: str
        required: true
      size:
        description: Its size in bytes.
        type: int
        required: true
  lock_sha256:
    description: Digest of the lock; it names the environment. Without it the wheel alone is brought, which
      can run what needs nothing else, such as the depot.
    type: str
  python:
    description: The interpreter the environment is made with.
    type: path
    default: /usr/bin/python3
"""

EXAMPLES = r"""
- name: Build the runtime's environment
  edgeai.fleet.environment:
    depot_url: http://depot.factory:9000
    wheel: "{{ bundle.runtime_wheel }}"
    lock_sha256: "{{ bundle.locks[measured.target].sha256 }}"
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
environment:
  description: Digest of the lock.
  type: str
  returned: with O(lock_sha256)
path:
  description: The environment's directory.
  type: str
  returned: with O(lock_sha256)
bootstrap:
  description: The runtime's wheel on the device.
  type: str
  returned: success
"""

import hashlib
import os
import ssl
import tempfile
import urllib.request
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import (
    Answer,
    Refused,
    ask,
    conclude,
    device_argument_spec,
)

DEPOT_CA = "etc/edgeai/depot-ca.pem"


def bootstrap_path(root: str, wheel: Dict[str, Any]) -> str:
    """Where the wheel lies. Its digest is in the path: a wheel that runs is never overwritten."""
    return os.path.join(root, "opt", "edgeai", "bootstrap", wheel["sha256"][:16], wheel["filename"])


def is_there(path: str, wheel: Dict[str, Any]) -> bool:
    """Whether `path` holds exactly this wheel."""
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest() == str(wheel["sha256"])
    except OSError:
        return False


def trusting(ca: str) -> ssl.SSLContext:
    """What trusts the factory's CA where the device was given one, and else whom the system trusts."""
    return ssl.create_default_context(cafile=ca if os.path.isfile(ca) else None)


def fetch(module: AnsibleModule, path: str, wheel: Dict[str, Any]) -> None:
    """Fetch the wheel from the depot by its digest; raises Refused when it is another."""
    digest = wheel["sha256"]
    url = "{}/blobs/sha256/{}/{}".format(module.params["depot_url"].rstrip("/"), digest[:2], digest)
    # The depot is inside the factory: a proxy of the machine's environment would only be in the way.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=trusting(os.path.join(module.params["root"], DEPOT_CA))),
    )
    try:
        with opener.open(url, timeout=60) as response:
            data = response.read(wheel["size"] + 1)
    except (OSError, ValueError) as error:
        raise Refused(
            f"{url} cannot be fetched ({error}); check that the depot runs and holds this bundle.",
            kind="transfer",
        ) from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise Refused(
            f"{url} is not the runtime's wheel of the signed bundle; copy the bundle to the depot again.",
            kind="untrusted",
        )
    directory = os.path.dirname(path)
    os.makedirs(directory, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=directory, delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def build(module: AnsibleModule, bootstrap: str) -> Answer:
    """Let the wheel build the environment, or say in check mode what it would do."""
    params = module.params
    command = [params["python"], "-m", "edgeai_runtime", "--root", params["root"], "--json"]
    command += ["environment", "build", "--lock-sha256", params["lock_sha256"]]
    command += ["--depot", params["depot_url"], "--python", params["python"]]
    command += ["--check"] if module.check_mode else []
    # Bytecode has no place beside a wheel, and the wheel needs nothing that is installed.
    environment = {"PYTHONPATH": bootstrap, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}
    return ask(command, environment)


def predict(root: str, lock: str) -> Answer:
    """What check mode says of a device that has not even the wheel."""
    path = os.path.join(root, "opt", "edgeai", "envs", lock)
    said = f"would build the environment {lock[:12]}"
    return {"changed": True, "environment": lock, "path": path, "actions": [said]}


def bring(module: AnsibleModule) -> Answer:
    """The wheel, and what it builds."""
    params = module.params
    wheel = params["wheel"]
    bootstrap = bootstrap_path(params["root"], wheel)
    there = is_there(bootstrap, wheel)
    answer: Answer = {"changed": False, "actions": [], "bootstrap": bootstrap}
    if not there:
        answer["changed"] = True
        answer["actions"] = [f"{'would fetch' if module.check_mode else 'fetched'} {wheel['filename']}"]
        if not module.check_mode:
            fetch(module, bootstrap, wheel)
    if params["lock_sha256"]:
        runs = there or not module.check_mode
        built = build(module, bootstrap) if runs else predict(params["root"], params["lock_sha256"])
        changed = answer["changed"] or built["changed"]
        actions = [*answer["actions"], *built.get("actions", [])]
        answer.update(built, changed=changed, actions=actions)
    return answer


def main() -> None:
    module = AnsibleModule(
        argument_spec=device_argument_spec(
            depot_url={"type": "str", "required": True},
            wheel={
                "type": "dict",
                "required": True,
                "options": {
                    "filename": {"type": "str", "required": True},
                    "sha256": {"type": "str", "required": True},
                    "size": {"type": "int", "required": True},
                },
            },
            lock_sha256={"type": "str"},
            python={"type": "path", "default": "/usr/bin/python3"},
        ),
        supports_check_mode=True,
    )
    conclude(module, lambda: bring(module), already="it is complete")


if __name__ == "__main__":
    main()
