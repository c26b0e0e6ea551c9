# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a device is made of, read with the standard library alone: nothing need be installed."""

from __future__ import annotations

import glob
import json
import os
import platform
import re
import subprocess
from typing import Any, Dict, List, Optional, Sequence

ARCHITECTURES = ("aarch64", "x86_64")
MIB = 1 << 20

# What speeds an inference up, by the words that Linux has for it in /proc/cpuinfo.
CPU_FEATURES = {
    "amx": ("amx_int8",),
    "avx": ("avx",),
    "avx2": ("avx2",),
    "avx512": ("avx512f",),
    "bf16": ("avx512_bf16", "bf16"),
    "dot_product": ("asimddp",),
    "fp16": ("asimdhp", "avx512_fp16"),
    "i8mm": ("i8mm",),
    "vnni": ("avx512_vnni", "avx_vnni"),
}
# PCI's numbers for those who make GPUs (https://pci-ids.ucw.cz/).
GPU_VENDORS = {"0x1002": "amd", "0x10de": "nvidia", "0x8086": "intel"}
# Which JetPack an L4T release is of, by its first number (developer.nvidia.com/embedded/jetpack-archive).
JETPACKS = {"32": 4, "34": 5, "35": 5, "36": 6, "38": 7, "39": 7}
# What a board's maker left in the firmware where a name belongs.
NO_NAMES = ("default string", "none", "system product name", "to be filled by o.e.m.")

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

    def text(path: str) -> str:
        return read_text(os.path.join(system, path))

    architecture = platform.machine()
    interpreter = probe_python(python)
    model = text("proc/device-tree/model")
    compatible = [name for name in text("proc/device-tree/compatible").split("\0") if name]
    tegra = text("etc/nv_tegra_release").partition("\n")[0]
    l4t = l4t_version(tegra)
    flags = cpu_flags(text("proc/cpuinfo"))
    return {
        "architecture": architecture,
        "userland_bits": interpreter["bits"] if interpreter else None,
        "python": {"path": python, **interpreter} if interpreter else None,
        "glibc": interpreter["glibc"] if interpreter else "",
        "debian_suite": debian_suite(text("etc/os-release"), architecture),
        "target": target_name(architecture, interpreter),
        "memory_mb": memory_mb(text("proc/meminfo")),
        "disk_free_mb": disk_free_mb(device_root),
        "model": model or firmware_name(system),
        "compatible": compatible,
        "nv_tegra_release": tegra,
        "l4t": l4t,
        "jetpack": JETPACKS.get(l4t.partition(".")[0]),
        "power_mode": power_mode(text("var/lib/nvpmodel/status"), text("etc/nvpmodel.conf")),
        "gpus": gpus(system),
        "cpu_flags": flags,
        "cpu_features": cpu_features(flags),
        "detected_class": detect_class(architecture, model, tegra, compatible),
        "systemd": systemd_version() if os.path.isdir(os.path.join(system, "run/systemd/system")) else None,
    }


def in_a_line(device: Dict[str, Any]) -> str:
    """What `measure` found, for a person."""
    words = [device["target"] or "no target"]
    if device["jetpack"]:
        words.append("JetPack {} (L4T {})".format(device["jetpack"], device["l4t"]))
    if device["power_mode"]:
        words.append("power mode {}".format(device["power_mode"]))
    words += [f"{name} GPU" for name in sorted({gpu["vendor"] for gpu in device["gpus"]})]
    words.append("{} MiB memory".format(device["memory_mb"]))
    words.append("{} MiB free".format(device["disk_free_mb"]))
    words.append("CPU with {}".format(" ".join(device["cpu_features"]) or "nothing that speeds int8 up"))
    name = device["model"] or "{} machine".format(device["architecture"])
    return "{} is {}: {}".format(name, device["detected_class"] or "none of our classes", ", ".join(words))


def debian_suite(os_release: str, architecture: str) -> str:
    """Release and architecture in the words of Debian and its kin, "bookworm-arm64"; "" on other systems."""
    words = {"x86_64": "amd64", "aarch64": "arm64"}
    found = re.search(r'^VERSION_CODENAME="?(\w+)', os_release, re.MULTILINE)
    kin = re.search(r'^ID(?:_LIKE)?="?(?:.*\b)?(?:debian|ubuntu)\b', os_release, re.MULTILINE)
    return f"{found.group(1)}-{words.get(architecture, architecture)}" if found and kin else ""


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


def detect_class(
    architecture: str, model: str, nv_tegra_release: str, compatible: Sequence[str] = ()
) -> Optional[str]:
    """The device class the hardware shows; None when it shows none.

    A Raspberry Pi says so in its device tree (its documentation asks programs to match the
    beginning of `model`; industrial boards built on its modules name only its chip there). A
    Jetson has NVIDIA's release file, or its device tree names a Jetson, a module (nvidia,p3767-…)
    or the chip: "NVIDIA Orin Nano Developer Kit" of JetPack 5 does without the word.
    """
    board = "\n".join(compatible)
    if model.startswith("Raspberry Pi") or re.search(r"^(raspberrypi,|brcm,bcm2[78])", board, re.M):
        return "raspberry_pi"
    if nv_tegra_release or "jetson" in model.lower() or re.search(r"^nvidia,(p\d{4}|tegra)", board, re.M):
        return "jetson"
    return "industrial_pc" if architecture == "x86_64" else None


def l4t_version(nv_tegra_release: str) -> str:
    """Version of Jetson Linux, "36.4.3" for "# R36 (release), REVISION: 4.3, …"; "" elsewhere."""
    found = re.match(r"# R(\d+) \(release\), REVISION: ([\d.]+)", nv_tegra_release)
    return "{}.{}".format(*found.groups()) if found else ""


def power_mode(status: str, modes: str) -> str:
    """The mode nvpmodel has set, by name where its configuration names it; "" without one.

    `status` is "pmode:0002 fmode:quiet"; `modes` has a line "< POWER_MODEL ID=2 NAME=MAXN_SUPER >"
    for each mode.
    """
    found = re.search(r"pmode:(\d+)", status)
    if found is None:
        return ""
    number = str(int(found.group(1)))
    names: Dict[str, str] = dict(re.findall(r"POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)", modes))
    return names.get(number, number)


def systemd_version() -> Optional[int]:
    """The first number of "systemd 252 (252.39-1~deb12u1)"; None where there is no systemctl."""
    try:
        said = subprocess.run(["systemctl", "--version"], stdout=subprocess.PIPE, check=False).stdout
    except OSError:
        return None
    found = re.match(rb"systemd (\d+)", said)
    return int(found.group(1)) if found else None


def firmware_name(system: str) -> str:
    """Maker and product as a PC's firmware has them; "" where nobody filled them in."""
    words = []
    for name in ("sys_vendor", "product_name"):
        word = read_text(os.path.join(system, "sys/class/dmi/id", name))
        if word.lower() not in NO_NAMES:
            words.append(word)
    return " ".join(filter(None, words))


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


def gpus(system: str) -> List[Dict[str, str]]:
    """Display controllers on PCI (class 0x03…): `vendor`, PCI `address` and `device` number, by address."""
    found = []
    for path in sorted(glob.glob(os.path.join(system, "sys/bus/pci/devices/*"))):
        vendor = read_text(os.path.join(path, "vendor"))
        if vendor in GPU_VENDORS and read_text(os.path.join(path, "class")).startswith("0x03"):
            device = read_text(os.path.join(path, "device"))
            found.append({"vendor": GPU_VENDORS[vendor], "address": os.path.basename(path), "device": device})
    return found


def cpu_flags(cpuinfo: str) -> List[str]:
    """What the first processor can do, sorted: "flags" on x86, "Features" on Arm."""
    for line in cpuinfo.splitlines():
        key, _colon, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return sorted(value.split())
    return []


def cpu_features(flags: Sequence[str]) -> List[str]:
    """What of it speeds an inference up, under one name on every architecture."""
    return [name for name, words in CPU_FEATURES.items() if set(words) & set(flags)]
