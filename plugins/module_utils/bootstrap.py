# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtime out of its own wheel: how anything begins on a host that has nothing but Python."""

from __future__ import annotations

import hashlib
import os
import ssl
import tempfile
import urllib.request
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import Answer, Refused, ask

DEPOT_CA = "etc/edgeai/depot-ca.pem"

OPTIONS: Dict[str, Any] = {
    "depot_url": {"type": "str", "required": True},
    "depot_mirrors": {"type": "list", "elements": "str", "default": []},
    "depot_rate_limit": {"type": "float", "default": 0.0},
    "wheel": {
        "type": "dict",
        "required": True,
        "options": {
            "filename": {"type": "str", "required": True},
            "sha256": {"type": "str", "required": True},
            "size": {"type": "int", "required": True},
        },
    },
    "python": {"type": "path", "default": "/usr/bin/python3"},
}


class Bootstrap:
    """The wheel that a module was told of, on its host; `OPTIONS` are what the module takes for it."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._wheel: Dict[str, Any] = module.params["wheel"]
        self.path = bootstrap_path(module.params["root"], self._wheel)

    def bring(self) -> Answer:
        """See that the wheel is there; raises Refused."""
        answer: Answer = {"changed": False, "actions": [], "bootstrap": self.path}
        if not is_there(self.path, self._wheel):
            check = self._module.check_mode
            answer["changed"] = True
            answer["actions"] = [f"{'would fetch' if check else 'fetched'} {self._wheel['filename']}"]
            if not check:
                self._fetch()
        return answer

    def run_with_depots(self, *arguments: str) -> Answer:
        """`run` for a command that fetches from the depots."""
        params = self._module.params
        depots = [word for url in self._depots() for word in ("--depot", url)]
        return self.run(*arguments, *depots, "--rate-limit", str(params["depot_rate_limit"]))

    def _depots(self) -> List[str]:
        return [self._module.params["depot_url"], *self._module.params["depot_mirrors"]]

    def _fetch(self) -> None:
        """From the first that delivers; raises why the depot itself did not."""
        failures: List[Refused] = []
        for url in self._depots():
            try:
                fetch(self.path, self._module.params["root"], url, self._wheel)
                return
            except Refused as failure:
                failures.append(failure)
        raise failures[0]

    def run(self, *arguments: str) -> Answer:
        """The answer of `edgeai ARGUMENTS`, with --check in check mode; raises Refused."""
        params = self._module.params
        command = [params["python"], "-m", "edgeai_runtime", "--root", params["root"], "--json", *arguments]
        command += ["--check"] if self._module.check_mode else []
        # Bytecode has no place beside a wheel, and the wheel needs nothing that is installed.
        environment = {"PYTHONPATH": self.path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}
        return ask(command, environment)


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


def fetch(path: str, root: str, depot_url: str, wheel: Dict[str, Any]) -> None:
    """Fetch the wheel from the depot by its digest; raises Refused when it is another."""
    digest = wheel["sha256"]
    url = "{}/blobs/sha256/{}/{}".format(depot_url.rstrip("/"), digest[:2], digest)
    # The depot is inside the factory: a proxy of the machine's environment would only be in the way.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=trusting(os.path.join(root, DEPOT_CA))),
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
            f"{url} is not the runtime's wheel of the signed bundle; remove this file from the depot and "
            "copy the bundle there again.",
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
