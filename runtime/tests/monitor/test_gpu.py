from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Dict

import pytest
from machines import JETSON, make

from edgeai_runtime.monitor import nvml
from edgeai_runtime.monitor.gpu import Gpu


class Library:
    """libnvidia-ml of a PC with one GPU; `missing` is what that GPU does not tell."""

    NOT_SUPPORTED = 3
    TEXTS: ClassVar[Dict[str, bytes]] = {
        "nvmlDeviceGetName": b"NVIDIA T400 4GB",
        "nvmlSystemGetDriverVersion": b"550.90.07",
    }

    def __init__(self, missing: str = "-", init: int = 0) -> None:
        self._missing, self._init = missing, init

    def nvmlInit_v2(self) -> int:  # noqa: N802 - NVIDIA's name
        return self._init

    def __getattr__(self, name: str) -> Any:
        def answer(*arguments: Any) -> int:
            if self._missing in name:
                return self.NOT_SUPPORTED
            if name in self.TEXTS:
                arguments[-2].value = self.TEXTS[name]
                return 0
            if name == "nvmlDeviceGetCudaComputeCapability":
                arguments[1]._obj.value, arguments[2]._obj.value = 7, 5
                return 0
            found = arguments[-1]._obj
            if "Utilization" in name:
                found.gpu = 37
            elif "MemoryInfo" in name:
                found.total, found.used = 16 << 30, 3 << 30
            elif name.startswith("nvmlDeviceGet") and "Handle" not in name:
                found.value = {"Clo": 1590, "Pow": 70_000, "Cur": 0x20 | 0x4}[name[13:16]]
            return 0

        return answer


def test_a_jetson_s_kernel_tells(tmp_path: Path) -> None:
    gpu = Gpu(make(tmp_path, JETSON))
    told = gpu.take()
    assert (told["gpu_percent"], told["gpu_mhz"], gpu.power_mode()) == (43.7, 612.0, "MAXN_SUPER")


def test_a_power_mode_without_a_name_is_told_by_its_number(tmp_path: Path) -> None:
    make(tmp_path, JETSON)
    (tmp_path / "etc/nvpmodel.conf").unlink()
    assert Gpu(tmp_path).power_mode() == "2"


def test_an_older_jetson_has_its_gpu_elsewhere(tmp_path: Path) -> None:
    make(tmp_path, {"sys/devices/gpu.0/load": "1000", "sys/class/devfreq/57000000.gpu/cur_freq": "921600000"})
    told = Gpu(tmp_path).take()
    assert (told["gpu_percent"], told["gpu_mhz"]) == (100.0, 921.6)


def test_a_machine_without_a_gpu_tells_nothing(tmp_path: Path) -> None:
    gpu = Gpu(tmp_path)
    assert set(gpu.take().values()) == {None}
    assert gpu.power_mode() is None
    assert gpu.identity() == {}


def test_nvidia_s_driver_tells_on_a_pc() -> None:
    gpu = nvml.Nvml.open(Library())
    assert gpu is not None
    assert gpu.take() == {
        "gpu_percent": 37.0,
        "gpu_mhz": 1590.0,
        "gpu_memory_used_mb": 3072.0,
        "gpu_memory_total_mb": 16384.0,
        "gpu_throttled": True,
    }
    assert gpu.power_limit() == "70 W"


def test_nvidia_s_driver_tells_which_gpu_it_is() -> None:
    gpu = nvml.Nvml.open(Library())
    assert gpu is not None
    assert gpu.identity() == {
        "name": "NVIDIA T400 4GB",
        "compute_capability": "7.5",
        "driver": "550.90.07",
    }


def test_a_jetson_s_gpu_is_known_by_its_chip(tmp_path: Path) -> None:
    assert Gpu(make(tmp_path, JETSON)).identity() == {"name": "tegra234"}


def test_what_a_gpu_does_not_tell_is_left_out() -> None:
    gpu = nvml.Nvml.open(Library(missing="Power"))
    assert gpu is not None
    assert gpu.power_limit() is None
    assert "driver" not in (nvml.Nvml.open(Library(missing="Driver")) or gpu).identity()
    assert gpu.take()["gpu_percent"] == 37.0


@pytest.mark.parametrize("library", [object(), Library(init=9), Library(missing="Handle")])
def test_a_driver_that_cannot_be_asked_is_as_none(library: Any) -> None:
    assert nvml.Nvml.open(library) is None


def test_a_library_that_is_not_there_is_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "LIBRARY", "libnvidia-ml-that-nobody-has.so.1")
    assert nvml.Nvml.open() is None
