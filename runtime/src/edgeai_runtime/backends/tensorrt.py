"""TensorRT: a serialized engine on the first NVIDIA GPU."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, TypeVar

import numpy as np

from edgeai_runtime.backends.base import Backend, Tensors
from edgeai_runtime.backends.cuda import Buffer, Cuda, open_cuda
from edgeai_runtime.backends.datatypes import TO_NUMPY
from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.tensorrt_api import Log, trt
from edgeai_runtime.backends.tensorrt_engine import Engine, Port, load_engine
from edgeai_runtime.errors import BackendError

Answer = TypeVar("Answer")


class TensorRTBackend(Backend):
    """An engine with a thread of its own, which alone ever speaks to the GPU: a CUDA context belongs to a
    thread, and `run` comes from whichever."""

    version = str(trt.__version__)
    provider = "tensorrt"
    fell_back = ()
    threads = 1

    def __init__(self, path: Path, owner: ThreadPoolExecutor, running: _Running) -> None:
        self._path, self._owner = path, owner
        self._running: Optional[_Running] = running
        ports = running.engine.ports
        self.inputs = tuple(port.spec for port in ports if port.is_input)
        self.outputs = tuple(port.spec for port in ports if not port.is_input)

    @classmethod
    def load(cls, path: Path, execution: Execution) -> TensorRTBackend:
        owner = ThreadPoolExecutor(1, thread_name_prefix="tensorrt")
        try:
            return cls(path, owner, owner.submit(_Running.start, path).result())
        except BaseException:
            owner.shutdown()
            raise

    def sample(self) -> Tensors:
        """Zeros in the shapes that the engine was tuned for."""
        ports = self._ask(lambda running: running.engine.ports)
        return {
            port.spec.name: np.zeros(port.best, TO_NUMPY[port.spec.datatype])
            for port in ports
            if port.is_input
        }

    def run(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> Tensors:
        return self._ask(lambda running: running.run(feeds))

    def trim(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._ask(lambda running: running.trim())
        self.run(feeds)

    def close(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            try:
                self._owner.submit(running.close).result()
            finally:
                self._owner.shutdown()

    def _ask(self, question: Callable[[_Running], Answer]) -> Answer:
        """Have the owner do something. Raises BackendError."""
        running = self._running
        if running is None:
            raise BackendError("The model is closed; load it again to run it.")
        return self._owner.submit(question, running).result()


class _Running:
    """The engine and its memory, for the owner alone."""

    def __init__(self, path: Path, cuda: Cuda, log: Log) -> None:
        self._path, self._cuda, self._log = path, cuda, log
        self.engine: Engine = load_engine(path, log)
        self._buffers: Dict[str, Buffer] = {port.spec.name: Buffer(cuda) for port in self.engine.ports}
        self._inputs = {port.spec.name: port for port in self.engine.ports if port.is_input}

    @classmethod
    def start(cls, path: Path) -> _Running:
        cuda = open_cuda()
        try:
            return cls(path, cuda, Log())
        except BaseException:
            with contextlib.suppress(BackendError):
                cuda.close()
            raise

    def run(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> Tensors:
        self._log.clear()
        if feeds.keys() != self._inputs.keys():
            raise BackendError(
                f"{self._path}: the tensors are {sorted(feeds)}, the engine takes "
                f"{sorted(self._inputs)}; send these."
            )
        for name, tensor in feeds.items():
            self._take(self._inputs[name], tensor)
        results = {port.spec.name: self._place(port) for port in self.engine.ports if not port.is_input}
        addresses = {name: buffer.address for name, buffer in self._buffers.items()}
        if not self.engine.enqueue(addresses, self._cuda.stream):
            raise BackendError(f"{self._path}: the engine does not run ({self._log.reason()}).")
        for name, result in results.items():
            self._buffers[name].to_host(result.nbytes)
        self._cuda.synchronize()
        # What is answered outlives the next run, which writes to the same memory.
        return {name: result.copy() for name, result in results.items()}

    def trim(self) -> None:
        self._cuda.synchronize()  # a run that failed half-way may have left copies to or from this memory
        for buffer in self._buffers.values():
            buffer.free()

    def close(self) -> None:
        """In the order in which they need each other: memory, engine, context. Where the GPU failed before,
        nothing can be given back any more, and the process that ends does it."""
        with contextlib.suppress(BackendError):
            self.trim()
        del self.engine
        with contextlib.suppress(BackendError):
            self._cuda.close()

    def _take(self, port: Port, tensor: np.ndarray[Any, Any]) -> None:
        """Bring an input to the GPU. Raises BackendError when it is not what the engine takes."""
        spec, dtype = port.spec, TO_NUMPY[port.spec.datatype]
        if tensor.dtype != dtype:
            raise BackendError(
                f"{self._path}: '{spec.name}' is a tensor of {tensor.dtype}, the engine takes {dtype}; "
                "send that."
            )
        if not port.takes(tensor.shape) or not self.engine.set_shape(spec.name, tensor.shape):
            raise BackendError(
                f"{self._path}: '{spec.name}' has the shape {list(tensor.shape)}, the engine takes "
                f"{_range(port)}; send what fits, or convert the model again with a profile that is wider."
            )
        buffer = self._buffers[spec.name]
        np.copyto(buffer.reserve(tensor.nbytes).view(dtype).reshape(tensor.shape), tensor)
        buffer.to_device(tensor.nbytes)

    def _place(self, port: Port) -> np.ndarray[Any, Any]:
        """Where an output will be on the host. Raises BackendError."""
        name, dtype = port.spec.name, TO_NUMPY[port.spec.datatype]
        shape = self.engine.result_shape(name)
        if any(size < 0 for size in shape):
            raise BackendError(
                f"{self._path}: the shape of '{name}' depends on the values that are sent ({list(shape)}), "
                "which cannot be served with TensorRT; export the model without its NonMaxSuppression or "
                "NonZero, or use onnxruntime."
            )
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return self._buffers[name].reserve(size).view(dtype).reshape(shape)


def _range(port: Port) -> str:
    """ "[1, 3] to [8, 3]", or the one shape there is."""
    least, most = list(port.least), list(port.most)
    return str(least) if least == most else f"{least} to {most}"
