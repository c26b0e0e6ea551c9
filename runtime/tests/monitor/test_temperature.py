from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from edgeai_runtime.monitor.temperature import temperature_c


def zone(zones: Path, number: int, content: str) -> None:
    directory = zones / f"thermal_zone{number}"
    directory.mkdir()
    (directory / "temp").write_text(content)


def test_the_hottest_plausible_zone_counts(tmp_path: Path) -> None:
    for number, content in enumerate(["41250\n", "67900\n", "-273000\n", "6526100\n", "broken\n"]):
        zone(tmp_path, number, content)
    assert temperature_c(tmp_path) == 67.9


def test_a_machine_without_sensors_has_no_temperature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "sensors_temperatures", dict)
    assert temperature_c(tmp_path) is None
