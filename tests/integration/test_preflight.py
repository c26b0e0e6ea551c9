"""What provisioning refuses, in one sentence, before it touches a device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import pytest
from small_fleet import Fleet, Run, free_port, says


def fake_python(path: Path, **probed: Any) -> Path:
    """An interpreter that says it is another one."""
    answer = {"version": "3.11", "implementation": "CPython", "bits": 64, "glibc": "2.36", **probed}
    path.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def measured(fleet: Fleet) -> Run:
    """One provisioning of bare devices, each of which could not work for a reason of its own."""
    wrong: Dict[str, Dict[str, Any]] = {
        "mistaken": {"runtime_hardware": "real", "runtime_class": "raspberry_pi"},
        "too-new": {"runtime_target": "x86_64-cp399-cpu"},
        "narrow": {"runtime_python": str(fake_python(fleet.base / "python32", bits=32))},
        "old": {"runtime_python": str(fake_python(fleet.base / "python-old-glibc", glibc="2.17"))},
        "full": {"runtime_disk_reserve_mb": 1_000_000_000},
        "little": {"runtime_memory_reserve_mb": 1_000_000_000},
        "bulky": {"runtime_environment_disk_factor": 1_000_000},
        "heavy": {"runtime_conversion_memory_factor": 1_000_000_000},
        "bare": {"runtime_python": "/nowhere/python3"},
    }
    for variables in wrong.values():
        variables.setdefault("runtime_class", "industrial_pc")
        variables["runtime_http"] = f"127.0.0.1:{free_port()}"
    with fleet.left_as_it_is():
        return fleet.play("provision", devices=wrong)


@pytest.mark.parametrize(
    ("device", "parts"),
    [
        ("mistaken", ["its class is raspberry_pi", "hardware is", "correct runtime_class"]),
        ("too-new", ["no lock for x86_64-cp399-cpu", "bundle_targets"]),
        ("narrow", ["32-bit", "install the 64-bit image"]),
        ("old", ["glibc is 2.17", "needs 2.28", "install a newer system"]),
        ("full", ["of free disk", "need 10", "free some"]),
        ("little", ["of memory", "need 10", "runtime_memory_reserve_mb"]),
        ("bulky", ["of free disk", "free some"]),
        ("heavy", ["of memory", "with their conversion need"]),
        ("bare", ["runtime_python cannot be started", "install Python 3.8"]),
    ],
)
def test_a_device_that_could_not_work_is_refused_untouched(
    fleet: Fleet, measured: Run, device: str, parts: list[str]
) -> None:
    assert measured.status != 0
    (said,) = (line for line in measured.failures if line.startswith(f"{device}:"))
    says(said, *parts)
    assert not (fleet.base / device).exists()


def refused_inventory(fleet: Fleet, devices: Dict[str, Dict[str, Any]]) -> str:
    """The sentence an inventory is refused with, before a device is asked."""
    for variables in devices.values():
        variables["runtime_class"] = "industrial_pc"
    run = fleet.play("provision", devices=devices)
    assert "Measure the device" not in run.output
    return run.only_failure()


def test_a_root_too_long_for_sockets_is_refused(fleet: Fleet) -> None:
    root = fleet.base / ("long-" * 12)
    said = refused_inventory(
        fleet, {"deep": {"runtime_root": str(root), "runtime_http": f"127.0.0.1:{free_port()}"}}
    )
    says(said, "deep", "runtime_root is", "allow 60", "choose a shorter one")
    assert not root.exists()


def test_two_devices_with_one_address_and_port_are_refused(fleet: Fleet) -> None:
    http = f"127.0.0.1:{free_port()}"
    said = refused_inventory(fleet, {"left": {"runtime_http": http}, "right": {"runtime_http": http}})
    says(said, "left and right", f"port {http.rpartition(':')[2]}", "another runtime_http")
    assert not (fleet.base / "left").exists()
