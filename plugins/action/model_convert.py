# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets a device convert a model; plugins/modules/model_convert.py documents it."""

from __future__ import annotations

from typing import Any, ClassVar, Dict

from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import result_of
from ansible_collections.edgeai.fleet.plugins.plugin_utils.device_command import DeviceCommand


class ActionModule(DeviceCommand):
    OPTIONS: ClassVar[Dict[str, Any]] = {
        "name": {"type": "str", "required": True},
        "version": {"type": "str", "required": True},
    }

    def conclude(self, parameters: Dict[str, Any]) -> Dict[str, Any]:
        root, name, version = parameters["root"], parameters["name"], parameters["version"]
        would = f"would convert {name} {version} for this device"
        answer = self.ask_for_long(root, "convert", name, version, would=would)
        result = result_of(answer, f"{name} {version} is converted for this device", root)
        if result.get("differs"):
            for side, place in (("before", 0), ("after", 1)):
                fields = [
                    f"{field}: {values[place]}\n" for field, values in sorted(result["differs"].items())
                ]
                result["diff"][side] = "".join(fields)
                result["diff"][f"{side}_header"] = ("the last conversion", "this one")[place]
        return result
