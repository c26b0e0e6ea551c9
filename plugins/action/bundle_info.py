# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a bundle and verifies it on the controller; plugins/modules/bundle_info.py documents it."""

from __future__ import annotations

import base64
import binascii
import contextlib
import io
import os
import shlex
import tarfile
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Dict, Optional

from ansible.plugins.action import ActionBase
from ansible_collections.edgeai.fleet.plugins.module_utils.bundle_files import SIGNED, TIMESTAMP, is_ours
from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import Answer, Refused, ask_here

Result = Dict[str, Any]


class ActionModule(ActionBase):  # type: ignore[misc]
    """Whoever is asked to vouch for a bundle is on the controller; the host only hands out its files."""

    OPTIONS: ClassVar[Dict[str, Any]] = {
        "depot_url": {"type": "str"},
        "directory": {"type": "str"},
        "root_json": {"type": "path", "required": True},
        "ca": {"type": "path"},
        "python": {"type": "path"},
    }

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec=self.OPTIONS,
            required_one_of=[["depot_url", "directory"]],
            mutually_exclusive=[["depot_url", "directory"]],
        )
        try:
            answer = self._read(arguments)
        except Refused as refused:
            # In check mode there may be no bundle yet.
            if not (self._task.check_mode and refused.failure["kind"] in ("bad_input", "transfer")):
                return {**result, "failed": True, "changed": False, **refused.failure}
            said = f"check mode goes on without a bundle: {refused}"
            return {**result, "changed": False, "readable": False, "locks": {}, "debian": {}, "msg": said}
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        bundle = {key: value for key, value in answer.items() if key not in ("ok", "changed", "actions")}
        return {**result, "changed": False, "readable": True, "msg": sentence(bundle), **bundle}

    def _read(self, arguments: Dict[str, Any]) -> Answer:
        """What `edgeai bundle show` answers here on the controller; raises Refused."""
        root = os.path.abspath(arguments["root_json"])
        if not os.path.isfile(root):
            raise Refused(
                f"{root}: the root of trust is not on the controller, and a bundle cannot vouch for itself; "
                "bring metadata/1.root.json from the workstation and name it in depot_root_json for a depot, "
                "in runtime_root_json for devices.",
                kind="bad_input",
            )
        python, command = arguments["python"], ["bundle", "show", "--root-json", root]
        command += ["--ca", os.path.abspath(arguments["ca"])] if arguments["ca"] else []
        if arguments["depot_url"]:
            return ask_here(python, [*command, "--depot", arguments["depot_url"]])
        directory = self._remote_expand_user(arguments["directory"])
        with tempfile.TemporaryDirectory(prefix="edgeai-bundle-") as copy:
            self._take(directory, Path(copy))
            url = Path(copy).as_uri()
            try:
                return ask_here(python, [*command, "--depot", url])
            except Refused as refused:
                raise refused.renamed(url, directory) from None

    def _take(self, directory: str, copy: Path) -> None:
        """Copy what is signed of a bundle on the host, unverified as it is; raises Refused without one."""
        pack = (
            f"cd {shlex.quote(directory)} 2>/dev/null && tar --create {' '.join(SIGNED)} 2>/dev/null | base64"
        )
        packed = self._low_level_execute_command(pack)["stdout"]
        with contextlib.suppress(binascii.Error, tarfile.TarError):  # then there is no timestamp either
            tar = tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed)), mode="r:")  # noqa: SIM115 - memory
            for member in tar:
                file = tar.extractfile(member) if member.isfile() and is_ours(member.name) else None
                if file:
                    path = copy / member.name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(file.read())
        if not (copy / TIMESTAMP).is_file():
            raise Refused(
                f"{directory}: there is no bundle on this host ({TIMESTAMP} cannot be read); bring one "
                "there, or name in depot_source a directory on the controller to copy it from.",
                kind="bad_input",
            )


def sentence(bundle: Answer) -> str:
    """The bundle in one line."""
    names = [f"{name} {', '.join(versions)}" for name, versions in sorted(bundle.get("releases", {}).items())]
    return f"a bundle for {', '.join(bundle.get('targets', []))} with {'; '.join(names) or 'no release'}"
