"""What is needed of CUDA: memory on both sides, copies between them, one stream.

By whichever of the two packages is there: cuda-python, which NVIDIA maintains, else pycuda, which builds on a
JetPack whose Python is older.
"""

from __future__ import annotations

import importlib
import os
from abc import ABC, abstractmethod
from typing import Any, List, Optional

import numpy as np

from edgeai_runtime.errors import BackendError

# What the package with each module is like. cuda-python had its driver in `cuda.cuda` before 12.6.
_DRIVERS = ("cuda.bindings.driver", "cuda.cuda")
_PYCUDA = "pycuda.driver"


class Cuda(ABC):
    """The first GPU through its primary context, which TensorRT uses as well, with one stream.

    For the thread alone that opened it. Every method raises BackendError with what CUDA says; copies and what
    TensorRT is given the stream for happen in order, and are done when `synchronize` returns.
    """

    stream: int  # the handle

    @abstractmethod
    def pinned(self, size: int) -> np.ndarray[Any, Any]:
        """Page-locked memory of the host, as uint8 [size]: what copies without it block."""

    @abstractmethod
    def unpin(self, host: np.ndarray[Any, Any]) -> None:
        """Give back what `pinned` gave; nothing may look at it any more."""

    @abstractmethod
    def allocate(self, size: int) -> Any:
        """`size` bytes of the GPU's memory; `int` of it is the address."""

    @abstractmethod
    def free(self, memory: Any) -> None:
        """Give back what `allocate` gave."""

    @abstractmethod
    def to_device(self, memory: Any, host: np.ndarray[Any, Any]) -> None:
        """Copy pinned uint8 [n] to the GPU."""

    @abstractmethod
    def to_host(self, host: np.ndarray[Any, Any], memory: Any) -> None:
        """Copy n bytes from the GPU to pinned uint8 [n]."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until all that was asked of the stream is done."""

    @abstractmethod
    def close(self) -> None:
        """Give stream and context back."""


class Buffer:
    """A tensor's place on both sides, as large as the largest so far."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._host: Optional[np.ndarray[Any, Any]] = None
        self._memory: Any = None

    @property
    def address(self) -> int:
        """On the GPU; 0 where nothing was reserved."""
        return 0 if self._memory is None else int(self._memory)

    def reserve(self, size: int) -> np.ndarray[Any, Any]:
        """The first `size` bytes of its pinned side, uint8 [size]. Raises BackendError where there is no
        memory, and is empty then."""
        if self._host is None or self._host.nbytes < size:
            self.free()
            room = max(size, 1)  # TensorRT wants an address also for no bytes
            self._memory = self._cuda.allocate(room)
            self._host = self._cuda.pinned(room)
        return self._host[:size]

    def to_device(self, size: int) -> None:
        self._cuda.to_device(self._memory, self.reserve(size))

    def to_host(self, size: int) -> None:
        self._cuda.to_host(self.reserve(size), self._memory)

    def free(self) -> None:
        host, memory = self._host, self._memory
        self._host = self._memory = None
        if host is not None:
            self._cuda.unpin(host)
        if memory is not None:
            self._cuda.free(memory)


def open_cuda() -> Cuda:
    """CUDA for the calling thread. Raises BackendError where GPU, driver or both packages are missing."""
    # The default from CUDA 12.2 on: a kernel takes memory once it is run, not already by being there.
    os.environ.setdefault("CUDA_MODULE_LOADING", "LAZY")
    missing: List[str] = []
    for name in (*_DRIVERS, _PYCUDA):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        except ImportError as error:  # it is installed, and a library it needs is not
            missing.append(f"{name}: {error}")
            continue
        if name == _PYCUDA:
            from edgeai_runtime.backends.cuda_pycuda import PyCuda

            return PyCuda(module)
        from edgeai_runtime.backends.cuda_driver import DriverCuda

        return DriverCuda(module)
    if missing:
        raise BackendError(f"CUDA cannot be loaded ({'; '.join(missing)}); install NVIDIA's driver.")
    raise BackendError(
        "CUDA cannot be asked for memory, neither cuda-python nor pycuda is in this environment; add the "
        "wheel of one of them to the bundle."
    )


def no_cuda(reason: object) -> BackendError:
    """What a person is told where CUDA does not start."""
    text = " ".join(str(reason).split()).rstrip(".")
    return BackendError(
        f"CUDA does not start here ({text}); see that this device has an NVIDIA GPU and its driver, and that "
        "this user may open it."
    )
