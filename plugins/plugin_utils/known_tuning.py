# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `runtime_tuning` may say, out of the same data that the role tunes by."""

from __future__ import annotations

import difflib
import json
from functools import lru_cache
from typing import Any, Dict, List, Mapping

import yaml  # type: ignore[import-untyped, unused-ignore]
from ansible_collections.edgeai.fleet.plugins.plugin_utils.known_variables import COLLECTION


@lru_cache(maxsize=1)
def ways() -> Dict[str, Dict[str, Any]]:
    """How each setting is made, by name."""
    text = (COLLECTION / "roles" / "runtime" / "vars" / "tuning.yml").read_text(encoding="utf-8")
    found: Dict[str, Dict[str, Any]] = yaml.safe_load(text)["__runtime_tuning_ways"]
    return found


def takes_a_value(name: str) -> bool:
    """Whether a setting is of the kind that has a value which an engineer chooses."""
    way = ways()[name]
    return "value" not in way and ("sysfs" in way or "{value}" in json.dumps(way))


def class_tuning(device_class: str) -> Dict[str, Any]:
    """What a class is tuned to; empty for a class nobody knows."""
    path = COLLECTION / "roles" / device_class / "vars" / "profile.yml"
    if not path.is_file():
        return {}
    found: Dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))[f"{device_class}_profile"][
        "tuning"
    ]
    return found


def tuning_refusals(device_class: str, tuning: Any) -> List[str]:
    """A sentence for each thing that is wrong with a `runtime_tuning`.

    A fleet has several classes, so a name is right when any of them has it.
    """
    if not isinstance(tuning, Mapping):
        return [f"runtime_tuning is '{tuning}', expected names with values, such as {{watchdog: false}}."]
    refusals = []
    own = class_tuning(device_class)
    for name, value in tuning.items():
        if name not in ways():
            near = difflib.get_close_matches(str(name), sorted(ways()), n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(ways()))}."
            refusals.append(f"runtime_tuning has the unknown setting {name}; {hint}")
        elif not isinstance(value, bool) and not takes_a_value(name):
            refusals.append(f"runtime_tuning: {name} is '{value}', but it has no value; give true or false.")
        elif value is None or isinstance(value, (Mapping, list)):
            refusals.append(f"runtime_tuning: {name} is '{value}'; give a value, or false to leave it alone.")
        elif value is True and own.get(name) is False and takes_a_value(name):
            refusals.append(
                f"runtime_tuning: {name} is true, and {device_class} has no value for it; give one."
            )
    return refusals
