"""What is read off a machine, from the files real ones have."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from ansible_collections.edgeai.fleet.plugins.module_utils import hardware

# First lines as JetPack 5 and 6 write them.
JETPACK_5 = "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64\n"
JETPACK_6 = "# R36 (release), REVISION: 3.0, GCID: 36923193, BOARD: generic, EABI: aarch64\nKERNEL=oot\n"


@pytest.mark.parametrize(
    ("architecture", "model", "tegra", "expected"),
    [
        ("aarch64", "Raspberry Pi 5 Model B Rev 1.0", "", "raspberry_pi"),
        ("aarch64", "Raspberry Pi Compute Module 4 Rev 1.1", "", "raspberry_pi"),
        ("armv7l", "Raspberry Pi 3 Model B Plus Rev 1.3", "", "raspberry_pi"),
        ("aarch64", "NVIDIA Jetson Orin Nano Developer Kit", JETPACK_6, "jetson"),
        ("aarch64", "NVIDIA Jetson Xavier NX Developer Kit", "", "jetson"),
        ("aarch64", "", JETPACK_5, "jetson"),
        ("x86_64", "", "", "industrial_pc"),
        ("aarch64", "Radxa ROCK 5B", "", None),
        ("aarch64", "Not a Raspberry Pi", "", None),
    ],
)
def test_the_hardware_shows_its_class(architecture: str, model: str, tegra: str, expected: str) -> None:
    assert hardware.detect_class(architecture, model, tegra) == expected


def machine(root: Path) -> Path:
    """A Raspberry Pi's files."""
    files = {
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.5\0",
        "proc/meminfo": "MemTotal:        3884360 kB\nMemFree:          100 kB\n",
        "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\n\nFeatures\t: x\n",
        "sys/bus/pci/devices/0000:00:00.0/vendor": "0x14e4\n",
        "sys/bus/pci/devices/0000:00:00.0/class": "0x060400\n",
        "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
        "sys/bus/pci/devices/0000:01:00.0/class": "0x030200\n",
        "sys/bus/pci/devices/0000:01:00.1/vendor": "0x10de\n",
        "sys/bus/pci/devices/0000:01:00.1/class": "0x040300\n",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    (root / "run/systemd/system").mkdir(parents=True)
    return root


def test_a_machine_is_read_from_its_files(tmp_path: Path) -> None:
    found = hardware.measure(sys.executable, str(tmp_path / "not/there/yet"), str(machine(tmp_path)))
    assert found["model"] == "Raspberry Pi 4 Model B Rev 1.5"
    assert found["detected_class"] == "raspberry_pi"
    assert found["memory_mb"] == 3793
    assert found["cpu_flags"] == ["asimd", "cpuid", "crc32", "evtstrm", "fp"]
    assert found["nvidia_pci"] == ["0000:01:00.0"]  # the sound device beside it is none
    assert found["systemd"] is True
    assert found["disk_free_mb"] > 0
    assert found["nv_tegra_release"] == ""


def test_a_jetson_tells_its_release_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text(JETPACK_6)
    found = hardware.measure(sys.executable, str(tmp_path), str(tmp_path))
    assert found["nv_tegra_release"] == JETPACK_6.splitlines()[0]
    assert found["detected_class"] == "jetson"
    assert found["memory_mb"] == 0


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
