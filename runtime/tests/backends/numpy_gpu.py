"""A GPU of ordinary memory, and both packages that ask a real one for its own.

Nothing of a stream is done before somebody synchronizes with it, and memory that was not reserved, or was
given back, is an error: what would be a stale answer or a crash on a real GPU is one here too.
"""

# ruff: noqa: N801, N802, N803 - functions and their arguments have the driver's own names

from __future__ import annotations

import ctypes
import enum
import threading
from typing import Any, Callable, Dict, List, Tuple

import numpy as np

STREAM = 77


class Gpu:
    """`allocated` and `pinned`: sizes of what is reserved, by address; `reserved` counts how often."""

    def __init__(self, name: str = "this GPU") -> None:
        self.name = name
        self.allocated: Dict[int, Any] = {}
        self.pinned: Dict[int, Any] = {}
        self.reserved = 0
        self.room = 1 << 30
        self.contexts = 0
        self.streams = 0
        self._owners: Dict[int, int] = {}
        self._pending: List[Callable[[], None]] = []

    @property
    def clean(self) -> bool:
        """Whether everything was given back."""
        reserved = self.allocated or self.pinned or self._pending
        return not (reserved or self.contexts or self.streams or self._owners)

    def enter(self) -> None:
        self._owners[threading.get_ident()] = self._owners.get(threading.get_ident(), 0) + 1

    def leave(self) -> None:
        self._owners.pop(threading.get_ident(), None)

    def own(self) -> None:
        """That a context is current in the calling thread."""
        assert threading.get_ident() in self._owners, "no CUDA context is current in this thread"

    def reserve(self, size: int, where: Dict[int, Any]) -> int:
        self.own()
        if size > self.room:
            return 0
        assert size > 0, "CUDA reserves no empty memory"
        memory = ctypes.create_string_buffer(b"\xcd" * size, size)
        where[ctypes.addressof(memory)] = memory
        self.reserved += 1
        return ctypes.addressof(memory)

    def view(self, address: int, size: int, where: Dict[int, Any]) -> np.ndarray[Any, Any]:
        """Bytes that are reserved, uint8 [size]."""
        memory = next(
            (
                memory
                for start, memory in where.items()
                if start <= address and address + size <= start + ctypes.sizeof(memory)
            ),
            None,
        )
        assert memory is not None, f"illegal memory access: {size} bytes at {address:#x}"
        return np.frombuffer(memory, np.uint8)[address - ctypes.addressof(memory) :][:size]

    def enqueue(self, stream: int, work: Callable[[], None]) -> None:
        self.own()
        assert stream == STREAM, f"{stream} is no stream"
        self._pending.append(work)

    def copy(self, target: Tuple[int, Dict[int, Any]], source: Tuple[int, Dict[int, Any]], size: int) -> None:
        def work() -> None:
            self.view(target[0], size, target[1])[:] = self.view(source[0], size, source[1])

        self.enqueue(STREAM, work)

    def synchronize(self) -> None:
        self.own()
        pending, self._pending = self._pending, []
        for work in pending:
            work()


class Result(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NO_DEVICE = 100


class Driver:
    """As `cuda.bindings.driver`: each function gives (status,) or (status, value)."""

    class CUstream_flags(enum.IntEnum):
        CU_STREAM_NON_BLOCKING = 1

    def __init__(self, gpu: Gpu, started: Result = Result.CUDA_SUCCESS) -> None:
        self._gpu, self._started = gpu, started

    def cuInit(self, Flags: int) -> Tuple[Result]:
        return (self._started,)

    def cuDeviceGet(self, ordinal: int) -> Tuple[Result, int]:
        return Result.CUDA_SUCCESS, ordinal

    def cuDevicePrimaryCtxRetain(self, dev: int) -> Tuple[Result, str]:
        self._gpu.contexts += 1
        return Result.CUDA_SUCCESS, "the primary context"

    def cuDevicePrimaryCtxRelease(self, dev: int) -> Tuple[Result]:
        self._gpu.contexts -= 1
        return (Result.CUDA_SUCCESS,)

    def cuCtxSetCurrent(self, ctx: Any) -> Tuple[Result]:
        if ctx == 0:
            self._gpu.leave()
        else:
            assert ctx == "the primary context"
            self._gpu.enter()
        return (Result.CUDA_SUCCESS,)

    def cuStreamCreate(self, Flags: int) -> Tuple[Result, int]:
        self._gpu.own()
        self._gpu.streams += 1
        return Result.CUDA_SUCCESS, STREAM

    def cuStreamDestroy(self, hStream: int) -> Tuple[Result]:
        self._gpu.streams -= 1
        return (Result.CUDA_SUCCESS,)

    def cuStreamSynchronize(self, hStream: int) -> Tuple[Result]:
        self._gpu.synchronize()
        return (Result.CUDA_SUCCESS,)

    def cuMemAlloc(self, bytesize: int) -> Tuple[Result, int]:
        return self._reserved(self._gpu.reserve(bytesize, self._gpu.allocated))

    def cuMemAllocHost(self, bytesize: int) -> Tuple[Result, int]:
        return self._reserved(self._gpu.reserve(bytesize, self._gpu.pinned))

    def cuMemFree(self, dptr: int) -> Tuple[Result]:
        self._gpu.own()
        del self._gpu.allocated[dptr]
        return (Result.CUDA_SUCCESS,)

    def cuMemFreeHost(self, p: int) -> Tuple[Result]:
        self._gpu.own()
        del self._gpu.pinned[p]
        return (Result.CUDA_SUCCESS,)

    def cuMemcpyHtoDAsync(self, dstDevice: int, srcHost: int, ByteCount: int, hStream: int) -> Tuple[Result]:
        self._gpu.copy((dstDevice, self._gpu.allocated), (srcHost, self._gpu.pinned), ByteCount)
        return (Result.CUDA_SUCCESS,)

    def cuMemcpyDtoHAsync(self, dstHost: int, srcDevice: int, ByteCount: int, hStream: int) -> Tuple[Result]:
        self._gpu.copy((dstHost, self._gpu.pinned), (srcDevice, self._gpu.allocated), ByteCount)
        return (Result.CUDA_SUCCESS,)

    @staticmethod
    def _reserved(address: int) -> Tuple[Result, int]:
        return (Result.CUDA_SUCCESS if address else Result.CUDA_ERROR_OUT_OF_MEMORY), address


class PyCudaDriver:
    """As `pycuda.driver`, by the names of https://documen.tician.de/pycuda/driver.html: the package itself
    cannot be imported without a driver."""

    class Error(Exception):
        """Base of all of pycuda's."""

    class LogicError(Error):
        """What calls in a wrong order and a missing GPU raise."""

    class MemoryError(Error):  # noqa: A001 - its name
        """There is no memory."""

    def __init__(self, gpu: Gpu, devices: int = 1) -> None:
        self._gpu, self._devices = gpu, devices

    def init(self) -> None:
        if not self._devices:
            raise self.LogicError("cuInit failed: no CUDA-capable device is detected")

    def Device(self, number: int) -> _Device:
        return _Device(self._gpu)

    def Stream(self) -> _Stream:
        self._gpu.own()
        return _Stream(self._gpu)

    def pagelocked_empty(self, shape: int, dtype: Any) -> np.ndarray[Any, Any]:
        address = self._reserved(self._gpu.reserve(shape, self._gpu.pinned))
        memory = self._gpu.pinned[address]

        class HostAllocation:
            @property
            def __array_interface__(self) -> Dict[str, Any]:
                whole = {"shape": (shape,), "typestr": np.dtype(dtype).str, "version": 3}
                return {**whole, "data": (ctypes.addressof(memory), False)}

            def free(self) -> None:
                del gpu.pinned[address]

        gpu = self._gpu
        return np.asarray(HostAllocation())

    def mem_alloc(self, num_bytes: int) -> _DeviceAllocation:
        return _DeviceAllocation(self._gpu, self._reserved(self._gpu.reserve(num_bytes, self._gpu.allocated)))

    def memcpy_htod_async(self, dest: Any, src: np.ndarray[Any, Any], stream: _Stream) -> None:
        self._gpu.copy((int(dest), self._gpu.allocated), (src.ctypes.data, self._gpu.pinned), src.nbytes)

    def memcpy_dtoh_async(self, dest: np.ndarray[Any, Any], src: Any, stream: _Stream) -> None:
        self._gpu.copy((dest.ctypes.data, self._gpu.pinned), (int(src), self._gpu.allocated), dest.nbytes)

    def _reserved(self, address: int) -> int:
        if not address:
            raise self.MemoryError("cuMemAlloc failed: out of memory")
        return address


class _Device:
    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu

    def retain_primary_context(self) -> _Context:
        self._gpu.contexts += 1
        return _Context(self._gpu)


class _Context:
    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu

    def push(self) -> None:
        self._gpu.enter()

    def pop(self) -> None:
        self._gpu.leave()

    def detach(self) -> None:
        self._gpu.contexts -= 1


class _Stream:
    handle = STREAM

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        gpu.streams += 1

    def synchronize(self) -> None:
        self._gpu.synchronize()

    def __del__(self) -> None:
        self._gpu.streams -= 1


class _DeviceAllocation:
    def __init__(self, gpu: Gpu, address: int) -> None:
        self._gpu, self._address = gpu, address

    def __int__(self) -> int:
        return self._address

    def free(self) -> None:
        del self._gpu.allocated[self._address]
