"""What a system brings for its accelerator is known by a release file and by its libraries' names."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeai_runtime.system_versions import system_versions

JETPACK_6 = (
    "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n# KERNEL_VARIANT: oot\n"
)
JETPACK_4 = "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64\n"


def a_system(root: Path, release: str, *libraries: str) -> Path:
    for name, text in [("etc/nv_tegra_release", release), *((library, "") for library in libraries)]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_jetson_has_all_three(tmp_path: Path) -> None:
    system = a_system(
        tmp_path,
        JETPACK_6,
        "usr/local/cuda/lib64/libcudart.so.12",
        "usr/local/cuda/lib64/libcudart.so.12.6.68",
        "usr/lib/aarch64-linux-gnu/libnvinfer.so.10",
        "usr/lib/aarch64-linux-gnu/libnvinfer.so.10.3.0",
    )
    assert system_versions(system) == {"l4t": "36.4.3", "cuda": "12.6.68", "tensorrt": "10.3.0"}


def test_what_is_not_installed_is_not_told(tmp_path: Path) -> None:
    assert system_versions(a_system(tmp_path, JETPACK_4)) == {"l4t": "32.7.1"}


@pytest.mark.parametrize("release", ["", "something else", "# R36 (internal), REVISION: 4.3"])
def test_a_file_that_tells_no_release_tells_nothing(tmp_path: Path, release: str) -> None:
    assert system_versions(a_system(tmp_path, release)) == {}


def test_any_other_machine_has_none(tmp_path: Path) -> None:
    assert system_versions(tmp_path) == {}
