"""An engine's tensors: what they are, and how a run is told their shapes and addresses.

TensorRT knew them by index at first ("bindings"), since 8.5 by name, and since 10 by name alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Mapping, Tuple

from edgeai_runtime.backends.base import TensorSpec
from edgeai_runtime.backends.tensorrt_api import Log, datatype_in_v2, started, trt
from edgeai_runtime.errors import BackendError

Shape = Tuple[int, ...]
_PROFILE = 0  # we build engines with one


@dataclass(frozen=True)
class Port:
    """An input or output of an engine. `least`, `best`, `most`: the shapes that an input's profile allows and
    was tuned for; an output's own shape."""

    spec: TensorSpec
    is_input: bool
    least: Shape
    best: Shape
    most: Shape

    def takes(self, shape: Shape) -> bool:
        """Whether a tensor of this shape is within the profile."""
        return len(shape) == len(self.least) and all(
            low <= size <= high for low, size, high in zip(self.least, shape, self.most)
        )


class Engine(ABC):
    """A deserialised engine and its one execution context; for the thread alone that loaded it."""

    ports: Tuple[Port, ...]

    def __init__(self, runtime: Any, engine: Any, context: Any) -> None:
        # In the order in which they go: none of them may outlive the one that made it.
        self._context = context
        self._engine = engine
        self._runtime = runtime

    @abstractmethod
    def set_shape(self, name: str, shape: Shape) -> bool:
        """Say what shape an input has in the next run; False where the engine does not take it."""

    @abstractmethod
    def result_shape(self, name: str) -> Shape:
        """What shape an output has once all inputs have one; -1 where only the values will tell."""

    @abstractmethod
    def enqueue(self, addresses: Mapping[str, int], stream: int) -> bool:
        """Run on the stream, with each tensor at its address on the GPU; False where it did not start."""


class _ByName(Engine):
    def __init__(self, runtime: Any, engine: Any, context: Any) -> None:
        super().__init__(runtime, engine, context)
        self.ports = tuple(
            self._port(engine.get_tensor_name(index)) for index in range(engine.num_io_tensors)
        )

    def _port(self, name: str) -> Port:
        engine = self._engine
        shape = tuple(engine.get_tensor_shape(name))
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        profile = engine.get_tensor_profile_shape(name, _PROFILE) if is_input and -1 in shape else [shape] * 3
        on_host = engine.get_tensor_location(name) == trt.TensorLocation.HOST
        return _port(name, engine.get_tensor_dtype(name), shape, is_input, profile, on_host)

    def set_shape(self, name: str, shape: Shape) -> bool:
        return bool(self._context.set_input_shape(name, shape))

    def result_shape(self, name: str) -> Shape:
        return tuple(self._context.get_tensor_shape(name))

    def enqueue(self, addresses: Mapping[str, int], stream: int) -> bool:
        placed = [self._context.set_tensor_address(name, address) for name, address in addresses.items()]
        return all(placed) and bool(self._context.execute_async_v3(stream))


class _ByIndex(Engine):
    def __init__(self, runtime: Any, engine: Any, context: Any) -> None:
        super().__init__(runtime, engine, context)
        # Each profile has the same bindings over again.
        of_a_profile = engine.num_bindings // max(1, engine.num_optimization_profiles)
        names = [engine.get_binding_name(index) for index in range(of_a_profile)]
        self._index = {name: index for index, name in enumerate(names)}
        self.ports = tuple(self._port(name) for name in names)

    def _port(self, name: str) -> Port:
        engine, index = self._engine, self._index[name]
        shape = tuple(engine.get_binding_shape(index))
        is_input = bool(engine.binding_is_input(index))
        profile = engine.get_profile_shape(_PROFILE, index) if is_input and -1 in shape else [shape] * 3
        on_host = engine.get_location(index) == trt.TensorLocation.HOST
        return _port(name, engine.get_binding_dtype(index), shape, is_input, profile, on_host)

    def set_shape(self, name: str, shape: Shape) -> bool:
        return bool(self._context.set_binding_shape(self._index[name], shape))

    def result_shape(self, name: str) -> Shape:
        return tuple(self._context.get_binding_shape(self._index[name]))

    def enqueue(self, addresses: Mapping[str, int], stream: int) -> bool:
        bindings = [0] * int(self._engine.num_bindings)
        for name, address in addresses.items():
            bindings[self._index[name]] = address
        return bool(self._context.execute_async_v2(bindings, stream))


def load_engine(path: Path, log: Log) -> Engine:
    """Deserialise the file and prepare to run it; CUDA's context must be current. Raises BackendError."""
    try:
        serialized = path.read_bytes()
    except OSError as error:
        raise BackendError(f"{path}: cannot be read ({error.strerror}); convert the model again.") from None
    runtime = started("Runtime", log)
    if hasattr(runtime, "engine_host_code_allowed"):
        # A version-compatible engine brings code for the processor. What is served was made on this very
        # device and compared with its digest.
        runtime.engine_host_code_allowed = True
    log.clear()
    engine = runtime.deserialize_cuda_engine(serialized)
    if engine is None:
        raise BackendError(
            f"{path}: TensorRT {trt.__version__} does not load this engine ({log.reason()}); an "
            "engine runs with the TensorRT and on the kind of GPU that it was built with: convert the model "
            "again on this device."
        )
    context = engine.create_execution_context()
    if context is None:
        raise BackendError(
            f"{path}: the engine cannot be prepared to run ({log.reason()}); see that the GPU "
            "has memory to spare."
        )
    try:
        return (_ByName if hasattr(engine, "num_io_tensors") else _ByIndex)(runtime, engine, context)
    except BackendError as error:
        raise BackendError(f"{path}: {error.message}") from None


def _port(name: str, datatype: Any, shape: Shape, is_input: bool, profile: List[Any], on_host: bool) -> Port:
    """Raises BackendError for what cannot be served."""
    if on_host and is_input:
        raise BackendError(
            f"'{name}' is an input that says the shape of another tensor, expected tensors of values alone; "
            "export the model with that shape fixed, or as a free dimension."
        )
    known = datatype_in_v2(datatype)
    if not known:
        raise BackendError(
            f"'{name}' is a tensor of {datatype.name}, which no client can send; export the model with "
            "inputs and outputs of 32 or 16 bits."
        )
    least, best, most = (tuple(sizes) for sizes in profile)
    return Port(TensorSpec(name, known, shape), is_input, least, best, most)
