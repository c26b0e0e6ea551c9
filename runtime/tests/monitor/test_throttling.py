from __future__ import annotations

from pathlib import Path

import pytest
from machines import HWMON, JETSON, PC, RASPBERRY_PI, THERMAL, make

from edgeai_runtime.monitor.throttling import Throttling

FLAGS = "sys/devices/platform/soc/soc:firmware/get_throttled"


@pytest.mark.parametrize(
    ("flags", "throttled", "under_voltage"),
    [
        ("0", False, False),
        ("50005", True, True),  # vcgencmd's 0x50005: now, and since boot
        ("50000", False, False),  # since boot alone
        ("80008", True, False),  # the soft limit of a 3B+
        ("0x2", True, False),  # the clock is capped
    ],
)
def test_a_raspberry_pi_s_firmware_tells_by_flags(
    tmp_path: Path, flags: str, throttled: bool, under_voltage: bool
) -> None:
    root = make(tmp_path, RASPBERRY_PI, {FLAGS: flags})
    assert Throttling(root).take() == {"throttled": throttled, "under_voltage": under_voltage}


def test_a_raspberry_pi_5_has_its_firmware_elsewhere(tmp_path: Path) -> None:
    make(tmp_path, {"sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled": "1"})
    assert Throttling(tmp_path).take() == {"throttled": False, "under_voltage": True}


def test_a_kernel_without_the_flags_tells_of_the_voltage_by_its_sensor(tmp_path: Path) -> None:
    make(tmp_path, {f"{HWMON}/hwmon0/name": "rpi_volt", f"{HWMON}/hwmon0/in0_lcrit_alarm": "1"})
    assert Throttling(tmp_path).take() == {"throttled": None, "under_voltage": True}


@pytest.mark.parametrize("kind", ["cpufreq-cpu0", "thermal-cpufreq-0", "devfreq-17000000.gpu", "Processor"])
def test_a_kernel_that_cools_by_speed_throttles(tmp_path: Path, kind: str) -> None:
    cooling = f"{THERMAL}/cooling_device0"
    root = make(tmp_path, JETSON, {f"{cooling}/type": kind})
    assert Throttling(root).take() == {"throttled": False, "under_voltage": None}
    make(tmp_path, {f"{cooling}/cur_state": "4"})
    assert Throttling(root).take() == {"throttled": True, "under_voltage": None}


def test_an_intel_processor_that_throttled_since_the_last_look_counted_it(tmp_path: Path) -> None:
    throttling = Throttling(make(tmp_path, PC))
    counter = "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count"
    assert throttling.take()["throttled"] is False
    make(tmp_path, {counter: "3"})
    assert throttling.take()["throttled"] is True
    assert throttling.take()["throttled"] is False


def test_a_machine_that_tells_nothing_is_neither_well_nor_ill(tmp_path: Path) -> None:
    assert Throttling(tmp_path).take() == {"throttled": None, "under_voltage": None}
