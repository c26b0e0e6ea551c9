# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings what a device did, signed by it; plugins/modules/device_report.py documents it."""

from __future__ import annotations

import base64
import posixpath
import shlex
from pathlib import Path
from typing import Any, ClassVar, Dict, Optional, Tuple

from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import Answer, Refused, ask_here
from ansible_collections.edgeai.fleet.plugins.plugin_utils.device_command import DeviceCommand

SIGNATURE = ".sig"


class ActionModule(DeviceCommand):
    OPTIONS: ClassVar[Dict[str, Any]] = {
        "directory": {"type": "path", "required": True},
        "keys_directory": {"type": "path", "required": True},
        "days": {"type": "float", "default": 0.0},
        "python": {"type": "path"},
    }

    def work(self, task_vars: Dict[str, Any]) -> Dict[str, Any]:
        self._device = str(task_vars.get("inventory_hostname", "device"))
        return super().work(task_vars)

    def conclude(self, parameters: Dict[str, Any]) -> Dict[str, Any]:
        root, directory = parameters["root"], Path(parameters["directory"])
        report = directory / f"{self._device}.json"
        if self._task.check_mode:
            return {"changed": True, "path": str(report), "msg": f"would bring a signed report to {report}"}
        key, pinned = self._pin(root, Path(parameters["keys_directory"]) / f"{self._device}.pub")
        directory.mkdir(parents=True, exist_ok=True)
        told = [directory / f".{report.name}", directory / f".{report.name}{SIGNATURE}"]
        try:
            for path, content in zip(told, self._bring(root, parameters["days"])):
                path.write_bytes(content)
            checked = self._check(told[0], report, key, parameters["python"])
            for path in told:  # only one that is in order takes the place of the last
                path.replace(path.with_name(path.name[1:]))
        finally:
            for path in told:
                path.unlink(missing_ok=True)
        said = f"brought {report} with {checked['lines']} lines of the journal, and its signature is good"
        actions = [*pinned, said]
        return {
            "changed": True,
            "path": str(report),
            "lines": checked["lines"],
            "made": checked["made"],
            "actions": actions,
            "msg": "; ".join(actions),
        }

    def _pin(self, root: str, file: Path) -> Tuple[Path, list[str]]:
        """The file with the device's public key, which is the one seen first; what was done for it."""
        shown = str((self.ask(root, "report", "key") or {})["public_key"])
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{shown}\n", encoding="utf-8")
            return file, [f"pinned the device's key in {file}"]
        if file.read_text(encoding="utf-8").strip() != shown:
            raise Refused(
                f"this device signs with another key than the one pinned in {file}; find out why, and remove "
                "that file if the device was set up anew.",
                kind="untrusted",
            )
        return file, []

    def _bring(self, root: str, days: float) -> Tuple[bytes, bytes]:
        """The report and its signature, which do not stay on the device."""
        path = posixpath.join(root, "var/lib/edgeai/report.json")
        both = [path, path + SIGNATURE]
        self.ask(root, "report", "make", "--output", path, "--days", str(days))
        try:
            report, signature = (self._read(each) for each in both)
        finally:
            self._low_level_execute_command(f"rm -f {' '.join(map(shlex.quote, both))}")
        return report, signature

    def _read(self, path: str) -> bytes:
        done = self._low_level_execute_command(f"base64 < {shlex.quote(path)}")
        if done["rc"]:
            raise Refused(
                f"{path} cannot be read on the device ({done['stderr'].strip()}).", kind="no_answer"
            )
        return base64.b64decode(done["stdout"])

    @staticmethod
    def _check(found: Path, report: Path, key: Path, python: Optional[str]) -> Answer:
        try:
            return ask_here(python, ["report", "check", str(found), "--public-key", str(key)])
        except Refused as refused:
            raise refused.renamed(str(found), str(report)) from None
