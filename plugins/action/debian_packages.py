# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a lost device a failure of `debian_packages` that `rescue` can see."""

from __future__ import annotations

from ansible_collections.edgeai.fleet.plugins.plugin_utils.device_action import (
    ModuleForPython as ActionModule,
)

__all__ = ["ActionModule"]
