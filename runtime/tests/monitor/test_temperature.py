from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

import pytest
from machines import JETSON, PC, RASPBERRY_PI, THERMAL, make

from edgeai_runtime.monitor.temperature import Thermometers


@pytest.mark.parametrize(
    ("machine", "temperature", "margin"),
    [
        (RASPBERRY_PI, 47.7, 32.3),  # the firmware's 80 °C, not the kernel's 110
        (JETSON, 51.6, 47.4),  # 99 °C; at 70 it warns of its surface alone
        (PC, 63.0, 37.0),  # the processor's 100 °C; the board's 127.5 is no temperature
        ({}, None, None),
    ],
)
def test_a_machine_tells_how_hot_it_is_and_how_far_from_slowing_down(
    tmp_path: Path, machine: Dict[str, str], temperature: Any, margin: Any
) -> None:
    told = Thermometers(make(tmp_path, machine)).take()
    assert told == {"temperature_c": temperature, "temperature_margin_c": margin}


def test_the_hottest_plausible_zone_counts(tmp_path: Path) -> None:
    for number, content in enumerate(["41250", "67900", "-273000", "6526100", "broken"]):
        make(tmp_path, {f"{THERMAL}/thermal_zone{number}/temp": content})
    assert Thermometers(tmp_path).take() == {"temperature_c": 67.9, "temperature_margin_c": None}


def test_a_sensor_that_is_bound_to_nothing_is_far_from_where_the_machine_shuts_down(tmp_path: Path) -> None:
    zone = {key: value for key, value in JETSON.items() if "cdev" not in key}
    assert Thermometers(make(tmp_path, zone)).take()["temperature_margin_c"] == 52.9
