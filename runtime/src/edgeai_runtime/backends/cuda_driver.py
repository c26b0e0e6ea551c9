"""CUDA by cuda-python (https://nvidia.github.io/cuda-python): the driver's own functions by their names."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from edgeai_runtime.backends.cuda import Cuda, no_cuda
from edgeai_runtime.errors import BackendError


class DriverCuda(Cuda):
    """`driver` is `cuda.bindings.driver`, or `cuda.cuda` of the packages before 12.6."""

    def __init__(self, driver: Any) -> None:
        """Raises BackendError where there is no GPU or driver."""
        self._driver = driver
        try:
            self._ask("cuInit", 0)
            self._device = self._ask("cuDeviceGet", 0)
        except (RuntimeError, BackendError) as error:  # RuntimeError: there is no libcuda to ask
            raise no_cuda(error) from None
        context = self._ask("cuDevicePrimaryCtxRetain", self._device)
        self._ask("cuCtxSetCurrent", context)
        self._stream = self._ask("cuStreamCreate", int(driver.CUstream_flags.CU_STREAM_NON_BLOCKING))
        self.stream = int(self._stream)

    def pinned(self, size: int) -> np.ndarray[Any, Any]:
        address = int(self._ask("cuMemAllocHost", size))
        host: np.ndarray[Any, Any] = np.frombuffer((ctypes.c_ubyte * size).from_address(address), np.uint8)
        return host

    def unpin(self, host: np.ndarray[Any, Any]) -> None:
        self._ask("cuMemFreeHost", host.ctypes.data)

    def allocate(self, size: int) -> Any:
        return self._ask("cuMemAlloc", size)

    def free(self, memory: Any) -> None:
        self._ask("cuMemFree", memory)

    def to_device(self, memory: Any, host: np.ndarray[Any, Any]) -> None:
        self._ask("cuMemcpyHtoDAsync", memory, host.ctypes.data, host.nbytes, self._stream)

    def to_host(self, host: np.ndarray[Any, Any], memory: Any) -> None:
        self._ask("cuMemcpyDtoHAsync", host.ctypes.data, memory, host.nbytes, self._stream)

    def synchronize(self) -> None:
        self._ask("cuStreamSynchronize", self._stream)

    def close(self) -> None:
        self._ask("cuStreamDestroy", self._stream)
        # A thread that stays must not be left with a context that may be gone.
        self._ask("cuCtxSetCurrent", 0)
        self._ask("cuDevicePrimaryCtxRelease", self._device)

    def _ask(self, function: str, *arguments: Any) -> Any:
        """What a function gives besides its status; they give (status,) or (status, value)."""
        status, *values = getattr(self._driver, function)(*arguments)
        if int(status):
            raise BackendError(f"CUDA's {function} failed with {getattr(status, 'name', int(status))}")
        return values[0] if values else None
