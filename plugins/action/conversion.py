# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings what a device converted to the controller; plugins/modules/conversion.py documents it."""

from __future__ import annotations

import posixpath
import shlex
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Dict, List, Mapping

from ansible.utils.hashing import secure_hash
from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import Answer, Refused
from ansible_collections.edgeai.fleet.plugins.plugin_utils.device_command import DeviceCommand

RECORD = "conversion.json"


class ActionModule(DeviceCommand):
    OPTIONS: ClassVar[Dict[str, Any]] = {
        "name": {"type": "str", "required": True},
        "version": {"type": "str", "required": True},
        "directory": {"type": "path", "required": True},
    }

    def conclude(self, parameters: Dict[str, Any]) -> Dict[str, Any]:
        root, what = parameters["root"], f"{parameters['name']} {parameters['version']}"
        asked = ("conversion", "share", parameters["name"], parameters["version"])
        beside = posixpath.join(root, "var/lib/edgeai/shared")
        told = self.ask(root, *asked, "--output", beside, "--check")
        directory = Path(parameters["directory"]).expanduser().absolute()
        if told is None:
            said = f"would bring what this device will make of {what} to {directory}"
            return {"changed": True, "actions": [said], "msg": said}
        place, files = directory / told["fingerprint"], told["files"]
        result = {"path": str(place), "fingerprint": told["fingerprint"]}
        if (place / RECORD).is_file() and all(is_whole(place, file) for file in files):
            return {**result, "changed": False, "actions": [], "msg": f"{place} has it"}
        size = sum(file["size"] for file in files) / 1e6
        if not self._task.check_mode:
            try:
                self._bring(self.ask(root, *asked, "--output", beside) or {}, place)
            finally:
                self._low_level_execute_command(f"rm -rf {shlex.quote(beside)}")
        said = f"{'would bring' if self._task.check_mode else 'brought'} {what}, {size:.1f} MB, to {place}"
        return {**result, "changed": True, "actions": [said], "msg": said}

    def _bring(self, written: Answer, place: Path) -> None:
        """The record and its files, all of them or none; raises Refused."""
        names: List[str] = [RECORD, *(file["sha256"] for file in written["files"])]
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".conversion-", dir=place.parent) as beside:
                whole = Path(beside) / "whole"
                whole.mkdir()
                for name in names:
                    self._connection.fetch_file(posixpath.join(written["path"], name), str(whole / name))
                for file in written["files"]:
                    if not is_whole(whole, file):
                        raise Refused(
                            f"{file['sha256']} changed on its way from the device; run it again.",
                            kind="transfer",
                        )
                if place.exists():
                    place.rename(Path(beside) / "old")
                try:
                    whole.rename(place)
                except OSError:
                    if not (place / RECORD).is_file():
                        raise  # else another device of the same make was quicker
        except OSError as error:
            raise Refused(
                f"{place.parent}: cannot be written on the controller ({error.strerror}); choose another "
                "directory.",
                kind="bad_input",
            ) from None


def is_whole(place: Path, file: Mapping[str, Any]) -> bool:
    """Whether the file of a conversion is there, and what its digest says."""
    path = place / str(file["sha256"])
    if not path.is_file() or path.stat().st_size != file["size"]:
        return False
    return bool(secure_hash(str(path), sha256) == file["sha256"])
