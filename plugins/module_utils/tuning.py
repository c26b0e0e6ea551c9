# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a device's own system: what they were before, what they shall be, and the way back.

A setting is data: one of three ways (a file, values in /sys, a command), and what to run when it
changes. For each there is a record below `etc/edgeai/tuning`, written before anything is changed: the
setting as it was made and what was there before. It alone is needed to undo the setting. It lies in
etc and not in var/lib, which belongs to the runtime's user: what root runs comes from root's files.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from ansible_collections.edgeai.fleet.plugins.module_utils.tuning_ways import (
    BOOT,
    RECORDS,
    Places,
    Setting,
    System,
    Untunable,
    Way,
    left_alone,
    way,
)

SCHEMA = 1
UNIT = "edgeai-tuning.service"


class Tuned(NamedTuple):
    """What was (or would be) done, what does not concern this device with why, and before and after."""

    actions: List[str]
    left_out: Dict[str, str]
    diff: List[Dict[str, str]]


class Tuner:
    """Makes a system's settings exactly those of a list."""

    def __init__(self, system: System, check: bool) -> None:
        self.system = system
        self.check = check
        self.tuned = Tuned([], {}, [])

    def tune(self, settings: Sequence[Setting]) -> Tuned:
        """Make `settings`, and undo every other one that was made before. Raises Untunable."""
        records = self._records()
        ways = []
        for setting in settings:
            why = left_alone(setting, self.system)
            if why:
                self.tuned.left_out[setting["name"]] = why
            else:
                ways.append(way(setting, self.system, records.get(setting["name"])))
        ways += [way(setting, self.system, records.get(BOOT)) for setting in boot_unit(ways)]
        kept = {way.name for way in ways}
        for name in sorted(set(records) - kept):
            self._undo(way(records[name]["setting"], self.system, records[name]))
        for each in ways:
            record = each.record
            if record and set(record["before"]) - set(each.wanted()):  # it is made elsewhere now
                self._undo(way(record["setting"], self.system, record))
                each.record = None
            self._make(each)
        return self.tuned

    def _records(self) -> Dict[str, Dict[str, Any]]:
        found = {}
        for place in self.system.matching(f"{RECORDS}/*.json"):
            record = json.loads(self.system.read(place) or "")
            if record["schema"] != SCHEMA:
                raise Untunable(
                    f"{place}: schema {record['schema']} is unknown here, expected {SCHEMA}; use the version "
                    "of the collection that wrote it."
                )
            found[record["setting"]["name"]] = record
        return found

    def _make(self, way: Way) -> None:
        record = way.record or {"before": {}, "whole": True}
        now, wanted = way.now(), way.wanted()
        differing = [place for place in wanted if now.get(place) != wanted[place]]
        if not differing and record["whole"]:
            return
        self._tell("set", "would set", way, differing or sorted(wanted), now, wanted)
        if self.check:
            return
        before = {**{place: now.get(place) for place in wanted}, **record["before"]}
        written = {"schema": SCHEMA, "setting": way.setting, "before": before, "made": wanted}
        self._note(way, {**written, "whole": False})
        if not (way.record and way.record["whole"]):
            way.prepare()
        for place in differing:
            way.write(place, wanted[place])
        way.run("settle")
        way.run("apply")
        self._note(way, {**written, "whole": True})

    def _undo(self, way: Way) -> None:
        """Put back what was there before, but for what somebody has changed since."""
        record = way.record or {}
        now = way.now()
        ours = [place for place, text in record["made"].items() if place in now and now[place] == text]
        self._tell("took back", "would take back", way, ours, now, record["before"])
        if self.check:
            return
        if ours:
            way.run("undo")
        for place in ours:
            if now[place] != record["before"][place]:
                way.write(place, record["before"][place])
        if ours:
            way.run("settle")
        for place in (f"{RECORDS}/{way.name}.stored", f"{RECORDS}/{way.name}.json"):
            self.system.remove(place)
        directory = self.system.path(RECORDS)
        if not os.listdir(directory):
            os.rmdir(directory)

    def _note(self, way: Way, record: Dict[str, Any]) -> None:
        self.system.write(f"{RECORDS}/{way.name}.json", json.dumps(record, indent=1, sort_keys=True) + "\n")

    def _tell(
        self, did: str, would: str, way: Way, places: Sequence[str], before: Places, after: Places
    ) -> None:
        value = f" to {way.value}" if way.value and did == "set" else ""
        self.tuned.actions.append(f"{would if self.check else did} {way.name}{value}")
        for place in places:
            self.tuned.diff.append(
                {
                    "before_header": place,
                    "after_header": place,
                    "before": line(before.get(place)),
                    "after": line(after.get(place)),
                }
            )


def line(text: Optional[str]) -> str:
    """A text of a diff, which ends with its line."""
    return "" if text is None else text if text.endswith("\n") else f"{text}\n"


def boot_unit(ways: Sequence[Way]) -> List[Setting]:
    """The unit that makes again what a restart loses, itself a setting; empty where nothing is lost."""
    lines = [" ".join(map(unit_word, command)) for command in (way.at_boot() for way in ways) if command]
    if not lines:
        return []
    content = f"""\
# Written by provisioning: change runtime_tuning, then provision again.
[Unit]
Description=Set what this device is tuned to
# Whatever else sets the same at boot has done so by then.
After=nvpmodel.service raspi-config.service

[Service]
Type=oneshot
{"".join(f"ExecStart=-{line}{chr(10)}" for line in lines)}
[Install]
WantedBy=multi-user.target
"""
    return [
        {
            "name": BOOT,
            "file": f"/etc/systemd/system/{UNIT}",
            "content": content,
            "settle": [["systemctl", "daemon-reload"]],
            "apply": [["systemctl", "enable", UNIT]],
            "undo": [["systemctl", "disable", UNIT]],
        }
    ]


def unit_word(word: str) -> str:
    """A word as systemd's ExecStart= takes it (systemd.service(5), command lines)."""
    safe = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{safe}"' if re.search(r"""[\s"'\\;]""", safe) else safe
