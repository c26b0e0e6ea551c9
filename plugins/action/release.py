# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets a device fetch a release; plugins/modules/release.py documents it."""

from __future__ import annotations

from typing import Any, ClassVar, Dict

from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import result_of
from ansible_collections.edgeai.fleet.plugins.plugin_utils.device_command import DeviceCommand


class ActionModule(DeviceCommand):
    OPTIONS: ClassVar[Dict[str, Any]] = {
        "name": {"type": "str", "required": True},
        "version": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present"], "default": "present"},
    }

    def conclude(self, parameters: Dict[str, Any]) -> Dict[str, Any]:
        root, name, version = parameters["root"], parameters["name"], parameters["version"]
        answer = self.ask_to_change(root, "fetch", name, version, would=f"would fetch {name} {version}")
        return result_of(answer, f"{name} {version} is in the store", root)
