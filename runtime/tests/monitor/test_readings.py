from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Dict

import pytest
from machines import JETSON, PC, RASPBERRY_PI, make

from edgeai_runtime.monitor.readings import SAID, Machine

PROC = {
    "proc/stat": "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 2 3",
    "proc/meminfo": "MemTotal:        3884360 kB\nMemFree:   100 kB\nMemAvailable:    1942180 kB",
    "proc/self/statm": "30000 20480 5000 1 0 10000 0",
    "proc/self/smaps_rollup": "55d0-7ffc ---p 00000000 00:00 0  [rollup]\nRss:  81920 kB\nPss:   61440 kB",
}
OF_THE_SERVICE = {"error_percent", "requests_per_s", "pressure"}


@pytest.mark.parametrize("machine", [RASPBERRY_PI, JETSON, PC, {}])
def test_every_machine_has_the_same_readings(tmp_path: Path, machine: Dict[str, str]) -> None:
    readings = Machine(tmp_path, make(tmp_path, machine)).take()
    assert set(readings) == set(SAID) - OF_THE_SERVICE
    json.dumps(readings)


def test_processors_and_memory_are_as_proc_tells(tmp_path: Path) -> None:
    machine = Machine(tmp_path, make(tmp_path, RASPBERRY_PI, PROC))
    make(tmp_path, {"proc/stat": "cpu  130 0 120 850 0 0 0 0 0 0\ncpu0 1 2 3"})
    told = machine.take()
    assert (told["system_cpu_percent"], told["cpu_mhz"]) == (50.0, 1500.0)
    assert (told["memory_total_mb"], told["memory_available_mb"]) == (3793.3, 1896.7)
    assert told["memory_available_percent"] == 50.0
    assert told["pss_mb"] == 60.0
    assert told["rss_mb"] == 20480 * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def test_the_machine_this_runs_on_is_read_as_well(tmp_path: Path) -> None:
    told = Machine(tmp_path).take()
    assert told["memory_available_mb"]
    assert told["rss_mb"]


def test_a_gpu_that_slows_down_is_a_machine_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path, make(tmp_path, PC))
    monkeypatch.setattr(machine._gpu, "take", lambda: {"gpu_throttled": True})
    assert machine.take()["throttled"] is True
