"""CUDA by pycuda: https://documen.tician.de/pycuda/driver.html."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator

import numpy as np

from edgeai_runtime.backends.cuda import Cuda, no_cuda
from edgeai_runtime.errors import BackendError


class PyCuda(Cuda):
    """`driver` is `pycuda.driver`, of 2021.1 or later."""

    def __init__(self, driver: Any) -> None:
        """Raises BackendError where there is no GPU."""
        self._driver = driver
        try:
            driver.init()
            device = driver.Device(0)
        except driver.Error as error:
            raise no_cuda(error) from None
        with self._said("the primary context"):
            self._context = device.retain_primary_context()
            self._context.push()
            self._stream = driver.Stream()
        self.stream = int(self._stream.handle)

    def pinned(self, size: int) -> np.ndarray[Any, Any]:
        with self._said(f"pinned memory of {size} bytes"):
            host: np.ndarray[Any, Any] = self._driver.pagelocked_empty(size, np.uint8)
            return host

    def unpin(self, host: np.ndarray[Any, Any]) -> None:
        with self._said("giving pinned memory back"):
            host.base.free()  # type: ignore[union-attr]  # pycuda's own, behind the array

    def allocate(self, size: int) -> Any:
        with self._said(f"memory of {size} bytes"):
            return self._driver.mem_alloc(size)

    def free(self, memory: Any) -> None:
        with self._said("giving memory back"):
            memory.free()

    def to_device(self, memory: Any, host: np.ndarray[Any, Any]) -> None:
        with self._said("copying to the GPU"):
            self._driver.memcpy_htod_async(memory, host, self._stream)

    def to_host(self, host: np.ndarray[Any, Any], memory: Any) -> None:
        with self._said("copying from the GPU"):
            self._driver.memcpy_dtoh_async(host, memory, self._stream)

    def synchronize(self) -> None:
        with self._said("running"):
            self._stream.synchronize()

    def close(self) -> None:
        with self._said("giving the context back"):
            del self._stream
            self._context.pop()
            self._context.detach()

    @contextlib.contextmanager
    def _said(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._driver.Error as error:  # LogicError, MemoryError and what else pycuda has
            raise BackendError(f"CUDA failed at {what}: {' '.join(str(error).split())}") from None
