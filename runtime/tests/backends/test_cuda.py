from __future__ import annotations

import ctypes.util
import inspect
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import real_bindings
from numpy_gpu import Driver, Gpu, PyCudaDriver, Result

from edgeai_runtime.backends.cuda import Buffer, open_cuda
from edgeai_runtime.errors import BackendError

PACKAGES = ("cuda.bindings.driver", "cuda.cuda", "pycuda.driver")
SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """None of the packages is there, until a test puts one in its place."""
    for name in PACKAGES:
        monkeypatch.setitem(sys.modules, name, None)
    return Gpu()


def install(monkeypatch: pytest.MonkeyPatch, name: str, gpu: Gpu) -> None:
    driver = PyCudaDriver(gpu) if name.startswith("pycuda") else Driver(gpu)
    monkeypatch.setitem(sys.modules, name, driver)  # type: ignore[arg-type]


@pytest.mark.parametrize("package", PACKAGES)
def test_what_goes_to_the_gpu_comes_back(package: str, gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, package, gpu)
    cuda = open_cuda()
    there, back = Buffer(cuda), Buffer(cuda)
    there.reserve(4)[:] = [1, 2, 3, 4]
    there.to_device(4)
    back.reserve(4)
    cuda.to_host(back.reserve(4), there._memory)
    assert back.reserve(4).tolist() != [1, 2, 3, 4]  # nothing is done before somebody waits for it
    cuda.synchronize()
    assert back.reserve(4).tolist() == [1, 2, 3, 4]
    assert there.address in gpu.allocated
    there.free()
    back.free()
    cuda.close()
    del cuda
    assert gpu.clean


@pytest.mark.parametrize("package", PACKAGES)
def test_a_buffer_grows_and_never_shrinks_by_itself(
    package: str, gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, package, gpu)
    cuda = open_cuda()
    buffer = Buffer(cuda)
    sizes = []
    for size in (2, 8, 4):
        assert buffer.reserve(size).nbytes == size
        sizes.append([ctypes.sizeof(memory) for memory in gpu.allocated.values()])
    assert sizes == [[2], [8], [8]]
    buffer.free()
    assert (buffer.address, gpu.allocated, gpu.pinned) == (0, {}, {})
    cuda.close()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_gpu_without_memory_is_one_sentence_and_the_buffer_empty(
    package: str, gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, package, gpu)
    cuda = open_cuda()
    buffer = Buffer(cuda)
    buffer.reserve(4)
    gpu.room = 8
    with pytest.raises(BackendError, match=r"(?i)out.of.memory"):
        buffer.reserve(9)
    assert (buffer.address, gpu.allocated, gpu.pinned) == (0, {}, {})
    assert buffer.reserve(8).nbytes == 8
    buffer.free()
    cuda.close()


def test_cuda_python_is_asked_before_pycuda(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Gpu()
    install(monkeypatch, "cuda.cuda", gpu)
    install(monkeypatch, "pycuda.driver", other)
    open_cuda()
    assert (gpu.contexts, other.contexts) == (1, 0)


def test_without_either_package_the_sentence_says_which(gpu: Gpu) -> None:
    with pytest.raises(BackendError, match="neither cuda-python nor pycuda"):
        open_cuda()


def test_a_package_whose_library_is_missing_is_told(
    gpu: Gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As pycuda says it without a driver.
    (tmp_path / "pycuda").mkdir()
    (tmp_path / "pycuda/__init__.py").touch()
    (tmp_path / "pycuda/driver.py").write_text(
        "raise ImportError('libcuda.so.1: cannot open shared object file')"
    )
    monkeypatch.delitem(sys.modules, "pycuda.driver")
    monkeypatch.delitem(sys.modules, "pycuda", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        BackendError, match=r"pycuda\.driver: libcuda\.so\.1: cannot open.*install NVIDIA's driver"
    ):
        open_cuda()
    monkeypatch.delitem(sys.modules, "pycuda", raising=False)


@pytest.mark.parametrize(
    ("package", "driver"),
    [
        ("cuda.bindings.driver", Driver(Gpu(), Result.CUDA_ERROR_NO_DEVICE)),
        ("pycuda.driver", PyCudaDriver(Gpu(), devices=0)),
    ],
)
def test_a_driver_without_a_gpu_is_one_sentence(
    package: str, driver: Any, gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, driver)
    with pytest.raises(
        BackendError, match=r"CUDA does not start here \(.*(NO_DEVICE|no CUDA-capable device)"
    ):
        open_cuda()


def real(module: str, tmp_path: Path, script: str, with_driver: bool = False) -> str:
    """What a script prints where NVIDIA's own package can be imported."""
    try:
        environment = real_bindings.cuda(module, tmp_path / "cuda", with_driver)
    except real_bindings.Unavailable as reason:
        pytest.skip(f"cuda-python cannot be had here: {reason}")
    environment["PYTHONPATH"] += f":{SOURCE}"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


_THERE_AND_BACK = """
from edgeai_runtime.backends.cuda import Buffer, open_cuda
from edgeai_runtime.errors import BackendError
cuda = open_cuda()
there, back = Buffer(cuda), Buffer(cuda)
there.reserve(4)[:] = [1, 2, 3, 4]
there.to_device(4)
cuda.to_host(back.reserve(4), there._memory)
print(back.reserve(4).tolist())
cuda.synchronize()
print(back.reserve(4).tolist(), type(there.address).__name__, cuda.stream)
try:
    cuda.allocate((1 << 20) + 1)
except BackendError as error:
    print(error.message)
there.free()
back.free()
cuda.close()
"""


@pytest.mark.parametrize("module", sorted(real_bindings.CUDA))
def test_the_real_cuda_python_is_asked_as_it_wants_to_be(module: str, tmp_path: Path) -> None:
    assert real(module, tmp_path, _THERE_AND_BACK, with_driver=True).splitlines() == [
        "[0, 0, 0, 0]",
        "[1, 2, 3, 4] int 77",
        "CUDA's cuMemAlloc failed with CUDA_ERROR_OUT_OF_MEMORY",
    ]


@pytest.mark.skipif(ctypes.util.find_library("cuda") is not None, reason="there is a driver here")
@pytest.mark.parametrize("module", sorted(real_bindings.CUDA))
def test_the_real_cuda_python_without_a_driver_is_one_sentence(module: str, tmp_path: Path) -> None:
    said = real(
        module,
        tmp_path,
        "from edgeai_runtime.backends.cuda import open_cuda\n"
        "from edgeai_runtime.errors import BackendError\n"
        "try: open_cuda()\n"
        "except BackendError as error: print(error.message)",
    )
    assert re.fullmatch(r"CUDA does not start here \(.+\); see that this device has .*\.\n", said)


@pytest.mark.parametrize("module", sorted(real_bindings.CUDA))
def test_the_driver_that_stands_for_cuda_python_has_its_functions(module: str, tmp_path: Path) -> None:
    ours = {
        name: list(inspect.signature(function).parameters)[1:]
        for name, function in vars(Driver).items()
        if isinstance(function, types.FunctionType) and name.startswith("cu")
    }
    script = (
        f"import json, sys; import {module} as driver\n"
        f"print(json.dumps({{name: getattr(driver, name).__doc__.splitlines()[0] for name in {list(ours)}}}))"
    )
    theirs = json.loads(real(module, tmp_path, script))
    # "cuMemAlloc(size_t bytesize)"
    told = {name: re.findall(r"(\w+)(?::[^,)]*)?[,)]", line[len(name) :]) for name, line in theirs.items()}
    assert told == ours
    assert len(ours) == 14


def test_pinned_memory_is_the_arrays_own(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "cuda.cuda", gpu)
    cuda = open_cuda()
    host = cuda.pinned(6)
    host[:] = np.arange(6)
    (memory,) = gpu.pinned.values()
    assert bytes(memory) == bytes(range(6))
    cuda.unpin(host)
    cuda.close()
