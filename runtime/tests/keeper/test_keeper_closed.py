"""A generation that runs as the keeper's own user writes alarms and tuning, and nothing else of the device's.

The kernel's Landlock sees to it; which kernels have it, `docs/architecture.md` says.
"""

from __future__ import annotations

import ctypes
import json
import sys

import pytest
from keeper_device import Device

from edgeai_runtime.errors import KeeperError

VERSION = ctypes.CDLL(None).syscall(444, None, 0, 1)  # landlock_create_ruleset(2)
pytestmark = pytest.mark.skipif(VERSION < 1, reason="this kernel has no Landlock")
TRIES = """#!{python}
import json, os, sys
from pathlib import Path
root = Path({root!r})
var, opt = root / "var/lib/edgeai", root / "opt/edgeai"

def attempt(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"

def replace(place):
    other = var / "alarms/other"
    other.write_text("mine")
    other.replace(place)

found = {{
    "read the state": attempt(lambda: (var / "state.json").read_text()),
    "write the state": attempt(lambda: (var / "state.json").open("a")),
    "replace the state": attempt(lambda: replace(var / "state.json")),
    "remove the journal": attempt(lambda: (var / "journal.jsonl").unlink()),
    "add to a generation": attempt(lambda: (opt / "generations/1/new").touch()),
    "move the link": attempt(lambda: (opt / "current").unlink()),
    "write an alarm": attempt(lambda: (var / "alarms/one").write_text("!")),
    "replace an alarm": attempt(lambda: replace(var / "alarms/one")),
    "keep a measurement": attempt(lambda: (var / "tuning/one").write_text("!")),
    "open a device's node": attempt(lambda: open("/dev/null", "w")),
}}
(var / "alarms/found.json").write_text(json.dumps(found))
"""
MAY = {"read the state", "write an alarm", "replace an alarm", "keep a measurement", "open a device's node"}


def test_it_can_change_neither_state_nor_generations(device: Device) -> None:
    device.start()
    device.write_generation(1)
    python = device.paths.environment("e1") / "bin/python"
    python.write_text(TRIES.format(python=sys.executable, root=str(device.paths.root)))
    with pytest.raises(KeeperError, match="its process ended"):
        device.switch(1)
    found = json.loads((device.paths.alarms.parent / "found.json").read_text())
    assert {act for act, outcome in found.items() if outcome == "done"} == MAY
    assert device.state()["current"] is None


def test_where_python_cannot_ask_the_kernel_it_serves_all_the_same(device: Device) -> None:
    device.write_generation(1)
    device.start(first="import sys\nsys.modules['ctypes'] = None\n")
    device.confirmed(1)
    assert device.wait_answer(1).status == 200


@pytest.mark.skipif(VERSION < 3, reason="this kernel's Landlock does not know of truncate(2)")
def test_it_cannot_cut_the_state_short(device: Device) -> None:
    device.start()
    device.write_generation(1)
    python = device.paths.environment("e1") / "bin/python"
    python.write_text(f"#!{sys.executable}\nimport os\nos.truncate({str(device.paths.state)!r}, 0)\n")
    with pytest.raises(KeeperError, match="its process ended"):
        device.switch(1)
    assert "PermissionError" in device.log.read_text()
    assert device.state()["current"] is None
