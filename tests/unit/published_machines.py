"""What real machines say of themselves, as people published it, with where.

Only facts are taken: a file's line or two, not a whole dump. `found` is what device_info must make of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict


@dataclass(frozen=True)
class Machine:
    """A machine's own files below /, and what is found in them."""

    name: str
    source: str
    architecture: str
    files: Dict[str, str]
    found: Dict[str, Any]

    def make(self, root: Path) -> Path:
        for name, content in self.files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
        return root


MODEL, COMPATIBLE = "proc/device-tree/model", "proc/device-tree/compatible"
CPUINFO, MEMINFO, TEGRA = "proc/cpuinfo", "proc/meminfo", "etc/nv_tegra_release"
POWER, MODES = "var/lib/nvpmodel/status", "etc/nvpmodel.conf"

CORTEX_A53 = "Features\t: fp asimd evtstrm crc32 cpuid\n"  # and A72: neither of both has the dot product
CORTEX_A76 = (
    "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc "
    "dcpop asimddp\n"
)
CORTEX_A78AE = (
    "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc "
    "dcpop asimddp uscat ilrcpc flagm paca pacg\n"
)
CARMEL = "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm dcpop\n"
CORTEX_A57 = "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32\n"

PI = {"detected_class": "raspberry_pi", "l4t": "", "jetpack": None, "power_mode": "", "gpus": []}
JETSON = {"detected_class": "jetson", "gpus": []}
PC = {"detected_class": "industrial_pc", "l4t": "", "jetpack": None, "power_mode": "", "compatible": []}

MACHINES = [
    Machine(
        "Raspberry Pi 4",
        "github.com/nicolargo/glances issue 2616",
        "aarch64",
        {
            MODEL: "Raspberry Pi 4 Model B Rev 1.5\0",
            COMPATIBLE: "raspberrypi,4-model-b\0brcm,bcm2711\0",
            CPUINFO: CORTEX_A53,
            MEMINFO: "MemTotal:        3884360 kB\n",
        },
        {
            **PI,
            "compatible": ["raspberrypi,4-model-b", "brcm,bcm2711"],
            "cpu_features": [],
            "memory_mb": 3793,
        },
    ),
    Machine(
        "Raspberry Pi 5",
        "github.com/hrw/arm-socs-table issue 96",
        "aarch64",
        {
            MODEL: "Raspberry Pi 5 Model B Rev 1.0\0",
            COMPATIBLE: "raspberrypi,5-model-b\0brcm,bcm2712\0",
            CPUINFO: "processor\t: 0\nBogoMIPS\t: 108.00\n" + CORTEX_A76,
        },
        {**PI, "cpu_features": ["dot_product", "fp16"]},
    ),
    Machine(
        "Raspberry Pi CM4",
        "github.com/RPi-Distro/pi-bluetooth pull request 20",
        "aarch64",
        {
            MODEL: "Raspberry Pi Compute Module 4 Rev 1.0\0",
            COMPATIBLE: "raspberrypi,4-compute-module\0brcm,bcm2711\0",
            CPUINFO: CORTEX_A53,
        },
        {**PI, "cpu_features": []},
    ),
    Machine(
        "Raspberry Pi Zero 2 W",
        "github.com/gokrazy/gokrazy issue 96",
        "aarch64",
        {MODEL: "Raspberry Pi Zero 2 W Rev 1.0\0", CPUINFO: CORTEX_A53},
        {**PI, "cpu_features": [], "model": "Raspberry Pi Zero 2 W Rev 1.0"},
    ),
    Machine(
        "Jetson Nano, JetPack 4",
        "developer.nvidia.com forums, github.com/rbonghi/jetson_stats issue 48; L4T 32.7.1",
        "aarch64",
        {
            MODEL: "NVIDIA Jetson Nano Developer Kit\0",
            COMPATIBLE: "nvidia,p3450-0000\0nvidia,p3448-0000\0nvidia,tegra210\0",
            TEGRA: "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64, "
            "DATE: Sat Feb 19 17:05:08 UTC 2022\n",
            CPUINFO: CORTEX_A57,
            POWER: "pmode:0000",
            MODES: "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=5W >\n< PM_CONFIG DEFAULT=0 >\n",
        },
        {**JETSON, "l4t": "32.7.1", "jetpack": 4, "power_mode": "MAXN", "cpu_features": []},
    ),
    Machine(
        "Jetson AGX Xavier, JetPack 5",
        "github.com/hrw/arm-socs-table issue 63; L4T 35.4.1",
        "aarch64",
        {
            MODEL: "Jetson-AGX\0",  # as of L4T 32.2: adafruit/Adafruit_Python_PlatformDetect pull request 37
            COMPATIBLE: "nvidia,p2972-0000\0nvidia,tegra194\0",
            TEGRA: "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64, "
            "DATE: Tue Aug  1 19:57:35 UTC 2023\n",
            CPUINFO: "processor\t: 0\nmodel name\t: ARMv8 Processor rev 0 (v8l)\n" + CARMEL,
        },
        {**JETSON, "l4t": "35.4.1", "jetpack": 5, "power_mode": "", "cpu_features": ["fp16"]},
    ),
    Machine(
        "Jetson Xavier NX, its release file lost",
        "github.com/hrw/arm-socs-table issue 26; power mode from a published status file",
        "aarch64",
        {
            MODEL: "NVIDIA Jetson Xavier NX Developer Kit\0",
            CPUINFO: "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp\n",
            POWER: "pmode:0002 fmode:quiet",
            MODES: "< POWER_MODEL ID=2 NAME=MODE_15W_6CORE >\n",
        },
        {**JETSON, "l4t": "", "jetpack": None, "power_mode": "MODE_15W_6CORE", "cpu_features": ["fp16"]},
    ),
    Machine(
        "Orin Nano, JetPack 5: no model says Jetson",
        "github.com/rbonghi/jetson_stats issue 514; L4T 35.3.1",
        "aarch64",
        {
            MODEL: "NVIDIA Orin Nano Developer Kit\0",
            COMPATIBLE: "nvidia,p3768-0000+p3767-0003\0nvidia,p3767-0003\0nvidia,tegra234\0nvidia,tegra23x\0",
            CPUINFO: CORTEX_A78AE,
        },
        {**JETSON, "cpu_features": ["dot_product", "fp16"]},
    ),
    Machine(
        "Jetson Orin Nano Super, JetPack 6",
        "a published benchmark of 2026; L4T 36.4.3",
        "aarch64",
        {
            MODEL: "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
            COMPATIBLE: "nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234\0",
            TEGRA: "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, "
            "DATE: Wed Jan  8 01:49:37 UTC 2025\n# KERNEL_VARIANT: oot\n",
            CPUINFO: CORTEX_A78AE,
            POWER: "pmode:0002",
            MODES: "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n",
        },
        {**JETSON, "l4t": "36.4.3", "jetpack": 6, "power_mode": "MAXN_SUPER"},
    ),
    Machine(
        "Jetson AGX Thor, JetPack 7",
        "github.com/rbonghi/jetson_stats issue 711; L4T 38.2.0",
        "aarch64",
        {
            MODEL: "NVIDIA Jetson AGX Thor Developer Kit\0",
            COMPATIBLE: "nvidia,p4071-0000+p3834-0008\0nvidia,p3834-0008\0nvidia,tegra264\0",
            TEGRA: "# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic, EABI: aarch64, "
            "DATE: Fri Aug 22 00:55:42 UTC 2025\n",
        },
        {**JETSON, "l4t": "38.2.0", "jetpack": 7},
    ),
    Machine(
        "Jetson AGX Orin, JetPack 7",
        "github.com/rbonghi/jetson_stats issue 864; L4T 39.2.0",
        "aarch64",
        {
            MODEL: "NVIDIA Jetson AGX Orin Developer Kit\0",
            COMPATIBLE: "nvidia,p3737-0000+p3701-0000\0",
            TEGRA: "# R39 (release), REVISION: 2.0, GCID: 45755727, BOARD: generic, EABI: aarch64, "
            "DATE: Mon Jun  1 09:28:48 PM UTC 2026\n",
        },
        {**JETSON, "l4t": "39.2.0", "jetpack": 7},
    ),
    Machine(
        "industrial PC with an Intel GPU and AVX-VNNI",
        "pci-ids.ucw.cz 8086:46d1 (Alder Lake-N); flags as github.com/klauspost/cpuid issue 106 has them",
        "x86_64",
        {
            CPUINFO: "flags\t\t: fpu sse4_2 avx f16c avx2 avx_vnni\n",
            "sys/bus/pci/devices/0000:00:02.0/vendor": "0x8086\n",
            "sys/bus/pci/devices/0000:00:02.0/class": "0x030000\n",
            "sys/bus/pci/devices/0000:00:02.0/device": "0x46d1\n",
            "sys/bus/pci/devices/0000:00:1f.3/vendor": "0x8086\n",
            "sys/bus/pci/devices/0000:00:1f.3/class": "0x040300\n",
        },
        {
            **PC,
            "model": "",
            "gpus": [{"vendor": "intel", "address": "0000:00:02.0", "device": "0x46d1"}],
            "cpu_features": ["avx", "avx2", "vnni"],
        },
    ),
    Machine(
        "industrial PC with an NVIDIA GPU beside another maker's display, AVX-512",
        "pci-ids.ucw.cz 10de:2684; flags as github.com/anrieff/libcpuid pull request 129 has them",
        "x86_64",
        {
            CPUINFO: "flags\t\t: fpu avx avx2 avx512f avx512_vnni\n",
            "sys/class/dmi/id/product_name": "To Be Filled By O.E.M.\n",
            "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
            "sys/bus/pci/devices/0000:01:00.0/class": "0x030000\n",
            "sys/bus/pci/devices/0000:01:00.0/device": "0x2684\n",
            "sys/bus/pci/devices/0000:01:00.1/vendor": "0x10de\n",  # the sound that comes out of it
            "sys/bus/pci/devices/0000:01:00.1/class": "0x040300\n",
            "sys/bus/pci/devices/0000:04:00.0/vendor": "0x1a03\n",  # a server board's own display
            "sys/bus/pci/devices/0000:04:00.0/class": "0x030000\n",
        },
        {
            **PC,
            "model": "",
            "gpus": [{"vendor": "nvidia", "address": "0000:01:00.0", "device": "0x2684"}],
            "cpu_features": ["avx", "avx2", "avx512", "vnni"],
        },
    ),
    Machine(
        "industrial PC with an Atom of 2013",
        "boot logs on lore.kernel.org (Hardware name: SIEMENS AG SIMATIC IPC227E); pci-ids.ucw.cz 8086:0f31",
        "x86_64",
        {
            CPUINFO: "flags\t\t: fpu sse4_1 sse4_2 movbe popcnt aes rdrand\n",
            "sys/class/dmi/id/sys_vendor": "SIEMENS AG\n",
            "sys/class/dmi/id/product_name": "SIMATIC IPC227E\n",
            "sys/bus/pci/devices/0000:00:02.0/vendor": "0x8086\n",
            "sys/bus/pci/devices/0000:00:02.0/class": "0x030000\n",
            "sys/bus/pci/devices/0000:00:02.0/device": "0x0f31\n",
        },
        {
            **PC,
            "model": "SIEMENS AG SIMATIC IPC227E",
            "gpus": [{"vendor": "intel", "address": "0000:00:02.0", "device": "0x0f31"}],
            "cpu_features": [],
        },
    ),
    Machine(
        "industrial board around a Raspberry Pi's module",
        "KUNBUS Revolution Pi, by the device tree names its own driver asks for",
        "aarch64",
        {COMPATIBLE: "kunbus,revpi-connect\0brcm,bcm2837\0"},
        PI,
    ),
    Machine(
        "single-board computer of none of our classes",
        "github.com/hrw/arm-socs-table issue 18",
        "aarch64",
        {MODEL: "Radxa ROCK 5B\0", COMPATIBLE: "radxa,rock-5b\0rockchip,rk3588\0", CPUINFO: CORTEX_A76},
        {"detected_class": None, "cpu_features": ["dot_product", "fp16"]},
    ),
]
