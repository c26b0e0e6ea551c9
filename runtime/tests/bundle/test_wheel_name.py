"""A wheel's name says for whom it is. The names are ones that were published."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Tuple

import pytest

from edgeai_runtime.bundle.targets import Target
from edgeai_runtime.bundle.wheel_name import WheelName
from edgeai_runtime.errors import InputError

JETSON = Target("aarch64-cp310-jetson", "aarch64", "3.10", "jetson", Path("locks/aarch64-cp310-cpu.txt"))


@pytest.mark.parametrize(
    ("filename", "fits"),
    [
        ("onnxruntime_gpu-1.23.0-cp310-cp310-linux_aarch64.whl", True),
        ("pycuda-2024.1.2-cp310-cp310-linux_aarch64.whl", True),
        ("numpy-2.2.6-cp310-cp310-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", True),
        ("cryptography-43.0.0-cp39-abi3-manylinux_2_28_aarch64.whl", True),
        ("requests-2.32.4-py3-none-any.whl", True),
        ("coloredlogs-15.0.1-py2.py3-none-any.whl", True),
        ("nvidia_nvtx-13.0-1-py3-none-manylinux2014_aarch64.whl", True),
        ("onnxruntime_gpu-1.23.0-cp312-cp312-linux_aarch64.whl", False),
        ("onnxruntime_gpu-1.18.0-cp38-cp38-linux_aarch64.whl", False),
        ("onnxruntime_gpu-1.23.0-cp310-cp310-manylinux_2_28_x86_64.whl", False),
        ("onnxruntime_gpu-1.23.0-cp310-cp310-win_amd64.whl", False),
        ("something-1.0-cp311-abi3-manylinux_2_28_aarch64.whl", False),
        ("something-1.0-py2-none-any.whl", False),
        ("something-1.0-pp310-pypy310_pp73-manylinux_2_28_aarch64.whl", False),
    ],
)
def test_it_fits_a_target_or_does_not(filename: str, fits: bool) -> None:
    assert WheelName.parse(filename).fits(JETSON) is fits


@pytest.mark.parametrize(
    ("filename", "glibc"),
    [
        ("onnxruntime-1.19.2-cp38-cp38-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl", (2, 27)),
        (
            "psutil-7.2.2-cp36-abi3-manylinux2014_aarch64.manylinux_2_17_aarch64.manylinux_2_28_aarch64.whl",
            (2, 17),
        ),
        ("old-1.0-cp38-cp38-manylinux1_x86_64.whl", (2, 5)),
        ("onnxruntime_gpu-1.23.0-cp310-cp310-linux_aarch64.whl", None),
        ("requests-2.32.4-py3-none-any.whl", None),
    ],
)
def test_it_tells_the_glibc_it_needs(filename: str, glibc: Optional[Tuple[int, int]]) -> None:
    assert WheelName.parse(filename).glibc == glibc


def test_names_of_one_package_are_one() -> None:
    names = ("onnxruntime_gpu-1.0-py3-none-any.whl", "Onnxruntime.GPU-1.0-py3-none-any.whl")
    assert {WheelName.parse(name).distribution for name in names} == {"onnxruntime-gpu"}


@pytest.mark.parametrize(
    "filename", ["wheel.whl", "numpy-1.0.tar.gz", "numpy-1.0-cp310-cp310-linux_aarch64 (1).whl"]
)
def test_what_is_no_wheels_name_is_refused(filename: str) -> None:
    with pytest.raises(InputError, match="no wheel's file name"):
        WheelName.parse(filename)
