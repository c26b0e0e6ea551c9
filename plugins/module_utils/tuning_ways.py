# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a setting of a device's own system is made: a file, values in /sys, or a command."""

from __future__ import annotations

import glob
import os
import re
import shlex
import subprocess
import tempfile
from abc import ABC, abstractmethod
from typing import Any, Dict, List, Optional, Sequence, Type

RECORDS = "/etc/edgeai/tuning"
BOOT = "boot"  # the name, among the settings, of the unit that makes again what a restart loses
IN_CONTAINERS = ("/run/systemd/container", "/run/.containerenv", "/.dockerenv")

Setting = Dict[str, Any]
Places = Dict[str, Optional[str]]  # what is at a place; None for nothing


class Untunable(Exception):
    """A setting cannot be made or undone; says which, where, and what to do."""


class System:
    """The system whose `/` is `root`; only tests have another one than `/`."""

    def __init__(self, root: str) -> None:
        self.root = root

    def path(self, name: str) -> str:
        return os.path.join(self.root, name.lstrip("/"))

    def matching(self, pattern: str) -> List[str]:
        """What is there by a shell pattern, sorted, named from `/` on."""
        found = sorted(glob.glob(self.path(pattern)))
        return ["/" + os.path.relpath(path, self.root) for path in found]

    def read(self, name: str) -> Optional[str]:
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def write(self, name: str, text: str) -> None:
        """Put a file in place, whole or not at all, and for good."""
        path = self.path(name)
        directory = os.path.dirname(path)
        os.makedirs(directory, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=directory, delete=False) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
        descriptor = os.open(directory, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    def remove(self, name: str) -> None:
        if os.path.lexists(self.path(name)):
            os.unlink(self.path(name))

    def has_command(self, command: str) -> bool:
        return any(os.access(os.path.join(place, command), os.X_OK) for place in self._search().split(":"))

    def run(self, name: str, command: Sequence[str]) -> str:
        """What a command prints; raises Untunable with its last words. It gets nothing to read."""
        try:
            done = subprocess.run(
                list(command),
                env={**os.environ, "PATH": self._search(), "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=120,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise Untunable(f"{name}: {words(command)} cannot be run ({error}); {way_out(name)}") from None
        said = done.stdout.decode(errors="replace")
        if done.returncode:
            last = ([line.strip() for line in said.splitlines() if line.strip()] or ["it said nothing"])[-1]
            raise Untunable(
                f"{name}: {words(command)} ended with status {done.returncode} ({last}); {way_out(name)}"
            )
        return said

    @staticmethod
    def _search() -> str:
        return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin"


def words(command: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, command))


def way_out(name: str) -> str:
    return "correct that and run it again." if name == BOOT else f"correct that, or {leave_alone(name)}"


def leave_alone(name: str) -> str:
    return f"leave it alone with runtime_tuning: {{{name}: false}}."


class Way(ABC):
    """How one setting is made. `record` is what was written down when it was made before."""

    def __init__(self, setting: Setting, system: System, record: Optional[Dict[str, Any]]) -> None:
        self.setting = setting
        self.name = str(setting["name"])
        self.system = system
        self.record = record
        self.value = str(setting.get("value") or "")

    def fill(self, text: str) -> str:
        """A text of the setting with its value put in."""
        stored = self.system.path(f"{RECORDS}/{self.name}.stored")
        return text.replace("{value}", self.value).replace("{stored}", stored)

    def command(self, key: str) -> List[str]:
        return [self.fill(str(word)) for word in self.setting.get(key) or []]

    def run(self, key: str) -> None:
        """Run a list of commands of the setting, one after another."""
        for command in self.setting.get(key) or []:
            self.system.run(self.name, [self.fill(str(word)) for word in command])

    def lacking(self) -> str:
        """What this device lacks for the setting; "" when nothing."""
        return ""

    def prepare(self) -> None:  # noqa: B027, most have nothing to prepare
        """Done before the setting is made for the first time."""

    @abstractmethod
    def now(self) -> Places:
        """What is there."""

    @abstractmethod
    def wanted(self) -> Places:
        """What shall be there."""

    @abstractmethod
    def write(self, place: str, text: Optional[str]) -> None:
        """Put it there; None takes away what there is."""

    def at_boot(self) -> List[str]:
        """The command that makes a setting again which a restart loses; empty where none does."""
        return []


class FileWay(Way):
    """A file with `content`."""

    def now(self) -> Places:
        return {self.setting["file"]: self.system.read(self.setting["file"])}

    def wanted(self) -> Places:
        return {self.setting["file"]: self.fill(self.setting["content"])}

    def write(self, place: str, text: Optional[str]) -> None:
        if text is not None:
            self.system.write(place, text)
            return
        self.system.remove(place)
        directory = os.path.dirname(self.system.path(place))
        if directory.endswith(".d") and not os.listdir(directory):
            os.rmdir(directory)  # a drop-in directory that nothing is left in


class SysfsWay(Way):
    """One value in every file that a pattern below /sys (or /proc/sys) matches."""

    def lacking(self) -> str:
        pattern = self.setting["sysfs"]
        return "" if self.system.matching(pattern) else f"no {pattern}"

    def now(self) -> Places:
        return {
            place: chosen(self.system.read(place)) for place in self.system.matching(self.setting["sysfs"])
        }

    def wanted(self) -> Places:
        return dict.fromkeys(self.system.matching(self.setting["sysfs"]), self.value)

    def write(self, place: str, text: Optional[str]) -> None:
        if text is None or not os.path.exists(self.system.path(place)):
            return  # it went away since: a processor that was switched off
        try:
            with open(self.system.path(place), "w", encoding="ascii") as file:
                file.write(f"{text}\n")
        except OSError as error:
            raise Untunable(
                f"{self.name}: {place} does not take '{text}' ({error.strerror}); {way_out(self.name)}"
            ) from None
        is_now = chosen(self.system.read(place))
        if is_now != text:
            raise Untunable(
                f"{self.name}: {place} was set to '{text}' and is '{is_now}'; {way_out(self.name)}"
            )

    def at_boot(self) -> List[str]:
        line = f"echo {shlex.quote(self.value)} | tee {self.setting['sysfs']} >/dev/null"
        return ["/bin/sh", "-c", line]


class CommandWay(Way):
    """What a command sets. `query` with `pattern` tells what is set; without, the record does."""

    @property
    def place(self) -> str:
        return words(self.command("query") or self.command("set"))

    def lacking(self) -> str:
        program = self.setting["set"][0]
        return "" if self.system.has_command(program) else f"no {program}"

    def now(self) -> Places:
        if not self.setting.get("query"):
            return {self.place: self.value if self.record and self.record["whole"] else None}
        said = self.system.run(self.name, self.command("query"))
        found = re.search(self.fill(self.setting["pattern"]), said, re.MULTILINE)
        return {self.place: found.group(1) if found else None}

    def wanted(self) -> Places:
        return {self.place: self._number()}

    def _number(self) -> str:
        """The value; where a file of the system numbers the names there are, its number."""
        names = self.setting.get("names")
        if not names:
            return self.value
        text = self.system.read(names["file"]) or ""
        found: Dict[str, str] = {name: number for number, name in re.findall(names["pattern"], text)}
        if found and self.value not in found and self.value not in found.values():
            known = ", ".join(sorted(found))
            raise Untunable(
                f"{self.name}: {names['file']} knows no '{self.value}'; give one of {known}, "
                f"or {leave_alone(self.name)}"
            )
        return found.get(self.value, self.value)

    def _set(self, value: str) -> List[str]:
        """The command that sets a value."""
        return [word.replace("{value}", value) for word in self.setting["set"]]

    def prepare(self) -> None:
        self.system.remove(f"{RECORDS}/{self.name}.stored")
        if self.setting.get("store"):
            self.system.run(self.name, self.command("store"))

    def write(self, place: str, text: Optional[str]) -> None:
        if text is None:
            if self.setting.get("unset"):
                self.system.run(self.name, self.command("unset"))
            return
        said = self.system.run(self.name, self._set(text))
        if self.setting.get("query"):
            (is_now,) = self.now().values()
            if is_now != text:
                last = ([line.strip() for line in said.splitlines() if line.strip()] or ["nothing"])[-1]
                raise Untunable(
                    f"{self.name}: {text} was to be set and it is {is_now or 'not'} (it said: {last}); run "
                    f"{words(self._set(text))} by hand, which may ask for a restart, or "
                    f"{leave_alone(self.name)}"
                )

    def at_boot(self) -> List[str]:
        # Older systemd wants a path; env looks the program up.
        return ["/usr/bin/env", *self._set(self._number())] if self.setting.get("at_boot") else []


WAYS: Dict[str, Type[Way]] = {"file": FileWay, "sysfs": SysfsWay, "set": CommandWay}


def way(setting: Setting, system: System, record: Optional[Dict[str, Any]] = None) -> Way:
    """The way a setting names; exactly one."""
    named = [key for key in WAYS if setting.get(key)]
    if len(named) != 1:
        raise Untunable(
            f"{setting['name']}: a setting has one of {', '.join(WAYS)}, this one has "
            f"{', '.join(named) or 'none'}; correct the setting."
        )
    return WAYS[named[0]](setting, system, record)


def chosen(text: Optional[str]) -> Optional[str]:
    """The value of a file in /sys; where it lists all there are, the one in brackets."""
    if text is None:
        return None
    found = re.search(r"\[([^\]]+)\]", text)
    return found.group(1) if found else text.strip()


def left_alone(setting: Setting, system: System) -> str:
    """Why a setting does not concern this device; "" when it does."""
    of_the_machine = setting.get("machine") or setting.get("sysfs")
    if of_the_machine and any(os.path.exists(system.path(mark)) for mark in IN_CONTAINERS):
        return "this is a container, and the machine is not its own"
    needs = setting.get("needs") or []
    if needs and not any(system.matching(pattern) for pattern in needs):
        return f"no {' or '.join(needs)}"
    for pattern in setting.get("unless") or []:
        if system.matching(pattern):
            return f"{pattern} is there"
    if setting.get("only_if"):
        try:
            system.run(setting["name"], setting["only_if"])
        except Untunable:
            return f"{words(setting['only_if'])} says no"
    return way(setting, system).lacking()
