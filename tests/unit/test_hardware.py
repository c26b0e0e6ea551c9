"""What is read off a machine, from the files real ones have."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any, Dict

import pytest
from ansible_collections.edgeai.fleet.plugins.module_utils import hardware
from published_machines import MACHINES, Machine


def measured(machine: Machine, root: Path, monkeypatch: pytest.MonkeyPatch) -> Dict[str, Any]:
    monkeypatch.setattr(platform, "machine", lambda: machine.architecture)
    return hardware.measure(sys.executable, str(root / "not/there/yet"), str(machine.make(root)))


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_a_machine_is_known_by_what_it_says_of_itself(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = measured(machine, tmp_path, monkeypatch)
    assert {key: found[key] for key in machine.found} == machine.found


def told(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (machine,) = (machine for machine in MACHINES if machine.name == name)
    found = measured(machine, root, monkeypatch)
    return hardware.in_a_line({**found, "target": "aarch64-cp310-cpu", "memory_mb": 7620, "disk_free_mb": 9})


def test_a_jetson_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told("Jetson Orin Nano Super, JetPack 6", tmp_path, monkeypatch) == (
        "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super is jetson: aarch64-cp310-cpu, "
        "JetPack 6 (L4T 36.4.3), power mode MAXN_SUPER, 7620 MiB memory, 9 MiB free, "
        "CPU with dot_product fp16"
    )


def test_what_is_none_of_our_classes_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = told("single-board computer of none of our classes", tmp_path, monkeypatch)
    assert said.startswith("Radxa ROCK 5B is none of our classes: aarch64-cp310-cpu, 7620 MiB memory")


def test_a_processor_without_such_features_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = told("Raspberry Pi Zero 2 W", tmp_path, monkeypatch)
    assert said.endswith("CPU with nothing that speeds int8 up")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("# R36 (release), REVISION: 3.0, GCID: 36923193, BOARD: generic", "36.3.0"),
        ("# R35 (release), REVISION: 2.1, GCID: 32413640", "35.2.1"),
        ("", ""),
        ("something else", ""),
    ],
)
def test_jetson_linux_is_known_by_its_first_line(line: str, expected: str) -> None:
    assert hardware.l4t_version(line) == expected


def test_a_jetpack_of_the_future_has_no_number_yet(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text("# R99 (release), REVISION: 1.0, GCID: 1\n")
    found = hardware.measure(sys.executable, str(tmp_path), str(tmp_path))
    assert (found["detected_class"], found["l4t"], found["jetpack"]) == ("jetson", "99.1.0", None)


def test_a_power_mode_that_nothing_names_is_its_number() -> None:
    assert hardware.power_mode("pmode:0003 fmode:cool", "") == "3"


def test_a_machine_that_says_nothing_is_read_all_the_same(tmp_path: Path) -> None:
    found = hardware.measure(sys.executable, str(tmp_path), str(tmp_path))
    assert (found["memory_mb"], found["gpus"], found["cpu_flags"], found["systemd"]) == (0, [], [], None)
    assert found["disk_free_mb"] > 0


def test_a_systemd_that_runs_the_machine_has_a_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl = tmp_path / "bin/systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text("#!/bin/sh\n[ $1 = --version ] && echo 'systemd 252 (252.39-1~deb12u1)'\n")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(systemctl.parent), prepend=os.pathsep)
    assert hardware.measure(sys.executable, str(tmp_path), str(tmp_path))["systemd"] is None
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert hardware.measure(sys.executable, str(tmp_path), str(tmp_path))["systemd"] == 252


def test_the_interpreter_is_asked_what_it_is() -> None:
    found = hardware.probe_python(sys.executable)
    assert found is not None
    assert found["version"] == "{}.{}".format(*sys.version_info[:2])
    assert found["bits"] == 64
    assert found["glibc"] == os.confstr("CS_GNU_LIBC_VERSION").split()[-1]  # type: ignore[union-attr]


@pytest.mark.parametrize("python", ["/nowhere/python3", "/bin/true", "/bin/false"])
def test_what_is_no_interpreter_is_none(python: str) -> None:
    assert hardware.probe_python(python) is None


@pytest.mark.parametrize(
    ("architecture", "python", "expected"),
    [
        ("aarch64", {"version": "3.8"}, "aarch64-cp38-cpu"),
        ("x86_64", {"version": "3.13"}, "x86_64-cp313-cpu"),
        ("aarch64", {"bits": 32}, None),
        ("armv7l", {}, None),
        ("x86_64", {"implementation": "PyPy"}, None),
    ],
)
def test_a_target_is_what_wheels_must_fit(architecture: str, python: dict, expected: str) -> None:
    probed = {"version": "3.11", "implementation": "CPython", "bits": 64, **python}
    assert hardware.target_name(architecture, probed) == expected
    assert hardware.target_name(architecture, None) is None


def test_device_info_tells_the_machine_in_a_line(run_module, tmp_path: Path) -> None:
    found = run_module("device_info", root=str(tmp_path), python=sys.executable)
    assert found["changed"] is False
    assert found["target"] in found["msg"]
    json.dumps(found)


def test_device_info_on_a_device_without_that_python_says_none(run_module) -> None:
    found = run_module("device_info", python="/nowhere/python3")
    assert found["python"] is None
    assert found["target"] is None
    assert "no target" in found["msg"]


@pytest.mark.parametrize(
    ("os_release", "architecture", "suite"),
    [
        ("ID=debian\nVERSION_CODENAME=bookworm\n", "aarch64", "bookworm-arm64"),
        ('ID=raspbian\nID_LIKE=debian\nVERSION_CODENAME="trixie"\n', "aarch64", "trixie-arm64"),
        ("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n", "x86_64", "noble-amd64"),
        ('ID=fedora\nVERSION_CODENAME=""\n', "x86_64", ""),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_CODENAME=leap\n', "x86_64", ""),
        ("", "x86_64", ""),
    ],
)
def test_a_system_of_debians_kin_names_its_suite(os_release: str, architecture: str, suite: str) -> None:
    assert hardware.debian_suite(os_release, architecture) == suite
