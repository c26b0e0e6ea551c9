# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a device is made of, read with the standard library alone: nothing need be installed."""

from __future__ import annotations

import glob
import json
import os
import platform
import subprocess
from typing import Any, Dict, List, Optional

ARCHITECTURES = ("aarch64", "x86_64")
MIB = 1 << 20

# Asked of the interpreter that will make the device's environments, which need not be Ansible's.
_PROBE = """
import json, os, platform, struct, sys
try:
    glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "").rpartition(" ")[2]
except (AttributeError, OSError, ValueError):
    glibc = ""
print(json.dumps({
    "version": "%d.%d" % sys.version_info[:2],
    "implementation": platform.python_implementation(),
    "bits": 8 * struct.calcsize("P"),
    "glibc": glibc,
}))
"""


def measure(python: str, device_root: str, system: str = "/") -> Dict[str, Any]:
    """Everything device_info returns, beside `changed` and `msg`.

    `system` is where the machine's own /proc, /sys and /etc are; only tests move it.
    """
    interpreter = probe_python(python)
    model = read_text(os.path.join(system, "proc/device-tree/model"))
    tegra = read_text(os.path.join(system, "etc/nv_tegra_release")).partition("\n")[0]
    nvidia = nvidia_devices(system)
    architecture = platform.machine()
    return {
        "architecture": architecture,
        "userland_bits": interpreter["bits"] if interpreter else None,
        "python": {"path": python, **interpreter} if interpreter else None,
        "glibc": interpreter["glibc"] if interpreter else "",
        "target": target_name(architecture, interpreter),
        "memory_mb": memory_mb(read_text(os.path.join(system, "proc/meminfo"))),
        "disk_free_mb": disk_free_mb(device_root),
        "model": model,
        "nv_tegra_release": tegra,
        "nvidia_pci": nvidia,
        "cpu_flags": cpu_flags(read_text(os.path.join(system, "proc/cpuinfo"))),
        "detected_class": detect_class(architecture, model, tegra),
        "systemd": os.path.isdir(os.path.join(system, "run/systemd/system")),
    }


def read_text(path: str) -> str:
    """A file's text without the NUL that ends device-tree strings; "" when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\0\n ")
    except OSError:
        return ""


def probe_python(python: str) -> Optional[Dict[str, Any]]:
    """Version ("3.11"), implementation, word size in bits and glibc of an interpreter; None without one."""
    try:
        done = subprocess.run(
            [python, "-I", "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )
        found: Dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return found


def target_name(architecture: str, python: Optional[Dict[str, Any]]) -> Optional[str]:
    """What wheels must fit, e.g. "aarch64-cp311-cpu"; None where no wheel can."""
    if python is None or architecture not in ARCHITECTURES or python["bits"] != 64:
        return None
    if python["implementation"] != "CPython":
        return None
    return "{}-cp{}-cpu".format(architecture, python["version"].replace(".", ""))


def detect_class(architecture: str, model: str, nv_tegra_release: str) -> Optional[str]:
    """The device class the hardware shows; None when it shows none.

    A Raspberry Pi says so in its device tree (its documentation asks programs to match the
    beginning of `model`), a Jetson by NVIDIA's release file or its device tree.
    """
    if model.startswith("Raspberry Pi"):
        return "raspberry_pi"
    if nv_tegra_release or "jetson" in model.lower():
        return "jetson"
    return "industrial_pc" if architecture == "x86_64" else None


def memory_mb(meminfo: str) -> int:
    """The whole memory in MiB from the text of /proc/meminfo; 0 when it is not told."""
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 0


def disk_free_mb(path: str) -> int:
    """MiB an ordinary user may still write where `path` is or will be."""
    path = os.path.abspath(path)
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize // MIB


def nvidia_devices(system: str) -> List[str]:
    """PCI addresses of NVIDIA display controllers (vendor 0x10de, class 0x03…), sorted."""
    found = []
    for device in sorted(glob.glob(os.path.join(system, "sys/bus/pci/devices/*"))):
        if read_text(os.path.join(device, "vendor")) == "0x10de" and read_text(
            os.path.join(device, "class")
        ).startswith("0x03"):
            found.append(os.path.basename(device))
    return found


def cpu_flags(cpuinfo: str) -> List[str]:
    """What the first processor can do, sorted: "flags" on x86, "Features" on Arm."""
    for line in cpuinfo.splitlines():
        key, _colon, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return sorted(value.split())
    return []
