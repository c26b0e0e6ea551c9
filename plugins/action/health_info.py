# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a device how it does; plugins/modules/health_info.py documents it."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.edgeai.fleet.plugins.module_utils.edgeai_command import Answer
from ansible_collections.edgeai.fleet.plugins.plugin_utils.device_command import DeviceCommand


class ActionModule(DeviceCommand):
    def conclude(self, parameters: Dict[str, Any]) -> Dict[str, Any]:
        answer = self.ask(parameters["root"], "status")
        health = {key: value for key, value in (answer or {}).items() if key not in ("ok", "changed")}
        msg = sentence(health) if answer else "would report once the device is provisioned"
        return {"changed": False, "provisioned": answer is not None, "health": health, "msg": msg}


def sentence(health: Answer) -> str:
    """The report in one line."""
    models = ", ".join(f"{name} {version}" for name, version in sorted(health.get("models", {}).items()))
    reason = f" ({health['reason']})" if health.get("reason") else ""
    why = health.get("condition_reason")
    condition = f"; {health.get('condition')}: {why}" if why else ""
    return (
        f"generation {health.get('generation')} with {models or 'no model'}: "
        f"{health.get('verdict')}{reason}{condition}"
    )
