"""What sysfs and /proc say on real machines, as it was published; facts alone, not whole dumps."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

THERMAL, HWMON = "sys/class/thermal", "sys/class/hwmon"

# Names and flags as in raspberrypi-hwmon.c and raspberrypi.c of github.com/raspberrypi/linux. The trip point
# is where the kernel shuts down; the firmware slows down long before.
RASPBERRY_PI = {
    "sys/firmware/devicetree/base/compatible": "raspberrypi,4-model-b\0brcm,bcm2711\0",
    f"{THERMAL}/thermal_zone0/type": "cpu-thermal",
    f"{THERMAL}/thermal_zone0/temp": "47712",
    f"{THERMAL}/thermal_zone0/trip_point_0_temp": "110000",
    f"{THERMAL}/thermal_zone0/trip_point_0_type": "critical",
    f"{HWMON}/hwmon1/name": "rpi_volt",
    f"{HWMON}/hwmon1/in0_lcrit_alarm": "0",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "0",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000",
}

# An Orin Nano with JetPack 6, as people wrote who looked: at 70 °C it warns of a hot surface, at 99 it slows
# down, at 104.5 it shuts down. A zone that is off answers with an error, here with nothing.
JETSON = {
    "sys/firmware/devicetree/base/compatible": "nvidia,p3768-0000+p3767-0005-super\0nvidia,tegra234\0",
    f"{THERMAL}/thermal_zone0/type": "cpu-thermal",
    f"{THERMAL}/thermal_zone0/temp": "51593",
    f"{THERMAL}/thermal_zone0/trip_point_0_temp": "99000",
    f"{THERMAL}/thermal_zone0/trip_point_0_type": "passive",
    f"{THERMAL}/thermal_zone0/trip_point_1_temp": "104500",
    f"{THERMAL}/thermal_zone0/trip_point_1_type": "critical",
    f"{THERMAL}/thermal_zone0/trip_point_2_temp": "70000",
    f"{THERMAL}/thermal_zone0/trip_point_2_type": "passive",
    f"{THERMAL}/thermal_zone0/cdev0_trip_point": "2",
    f"{THERMAL}/thermal_zone0/cdev0/type": "hot-surface-alert",
    f"{THERMAL}/thermal_zone0/cdev1_trip_point": "0",
    f"{THERMAL}/thermal_zone0/cdev1/type": "cpufreq-cpu0",
    f"{THERMAL}/thermal_zone0/cdev2_trip_point": "-1",
    f"{THERMAL}/thermal_zone0/cdev2/type": "pwm-fan",
    f"{THERMAL}/thermal_zone2/type": "cv0-thermal",
    f"{THERMAL}/thermal_zone2/temp": "",
    f"{THERMAL}/cooling_device0/type": "cpufreq-cpu0",
    f"{THERMAL}/cooling_device0/cur_state": "0",
    f"{THERMAL}/cooling_device1/type": "devfreq-17000000.gpu",
    f"{THERMAL}/cooling_device1/cur_state": "0",
    f"{THERMAL}/cooling_device2/type": "pwm-fan",
    f"{THERMAL}/cooling_device2/cur_state": "3",
    f"{THERMAL}/cooling_device3/type": "hot-surface-alert",
    f"{THERMAL}/cooling_device3/cur_state": "1",
    "sys/devices/platform/bus@0/17000000.gpu/load": "437",
    "sys/class/devfreq/17000000.gpu/cur_freq": "612000000",
    "var/lib/nvpmodel/status": "pmode:0002 fmode:quiet",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n",
}

# coretemp's limits, the zones beside it, and the counters as docs.kernel.org/hwmon/coretemp.html and
# arch/x86/kernel/cpu/mce/therm_throt.c have them; trip points that nobody set are 0.
PC = {
    f"{THERMAL}/thermal_zone0/type": "acpitz",
    f"{THERMAL}/thermal_zone0/temp": "27800",
    f"{THERMAL}/thermal_zone0/trip_point_0_temp": "119000",
    f"{THERMAL}/thermal_zone0/trip_point_0_type": "critical",
    f"{THERMAL}/thermal_zone1/type": "x86_pkg_temp",
    f"{THERMAL}/thermal_zone1/temp": "62000",
    f"{THERMAL}/thermal_zone1/trip_point_0_temp": "0",
    f"{THERMAL}/thermal_zone1/trip_point_0_type": "passive",
    f"{THERMAL}/cooling_device0/type": "Processor",
    f"{THERMAL}/cooling_device0/cur_state": "0",
    f"{HWMON}/hwmon0/name": "coretemp",
    f"{HWMON}/hwmon0/temp1_input": "63000",
    f"{HWMON}/hwmon0/temp1_crit": "100000",
    f"{HWMON}/hwmon1/name": "nct6775",  # what nothing is connected to
    f"{HWMON}/hwmon1/temp1_input": "127500",
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "12",
    "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": "0",
}


def make(root: Path, *machines: Dict[str, str]) -> Path:
    """A tree with these files; the last one that names a file has it."""
    for machine in machines:
        for name, content in machine.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(f"{content}\n")
    return root
