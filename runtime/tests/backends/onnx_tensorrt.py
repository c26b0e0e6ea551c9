"""TensorRT as a module, of one version: its own enums and interfaces, doubles behind its classes (held.py).

An engine is the ONNX model with what it was built for; what runs on the GPU is onnxruntime, on the memory of
that GPU.
"""

from __future__ import annotations

import json
import types
import weakref
from pathlib import Path
from typing import Any, Callable, Dict, FrozenSet, List, Optional, Sequence, Tuple

import numpy as np
import onnx
import onnxruntime
from held import NOTHING, Api, double_of
from numpy_gpu import Gpu

# What came after 8.2, which has no wheel, by the notes of 8.4 (memory pools), 8.5 (tensors by name) and 8.6.
AFTER_8_2 = frozenset(
    {"MemoryPoolType", "HardwareCompatibilityLevel", "TensorIOMode", "BuilderFlag.VERSION_COMPATIBLE"}
    | {f"IBuilderConfig.{name}" for name in ("set_memory_pool_limit", "hardware_compatibility_level")}
    | {"Runtime.engine_host_code_allowed", "IExecutionContext.set_input_shape"}
    | {f"IExecutionContext.{name}" for name in ("execute_async_v3", "set_tensor_address", "get_tensor_shape")}
    | {"ICudaEngine.num_io_tensors"}
    | {
        f"ICudaEngine.get_tensor_{name}"
        for name in ("name", "mode", "shape", "dtype", "location", "profile_shape")
    }
)
_OF_VALUES = {"NonZero", "NonMaxSuppression"}  # operators whose output's shape depends on values
_WORST = "4: [builder.cpp::build::12] Error Code 4: API Usage Error ({})"


class World:
    """One version on one GPU: what tests set and look at. `built`: each build's configuration, in order."""

    def __init__(self, real: Any, gpu: Gpu, hidden: FrozenSet[str] = NOTHING) -> None:
        self.gpu = gpu
        self.real = real
        self.api = Api(real, hidden)
        self.version = "8.2.1" if hidden else str(real.__version__)
        self.slow: FrozenSet[str] = frozenset()  # precisions that the GPU is no faster with
        self.steps = 10  # of a build's outermost phase
        self.no_implementation = False  # of some layer, which ends a build
        self.does_not_run = False
        self.shape_inputs: FrozenSet[str] = frozenset()
        self.built: List[_Config] = []
        self.calibrated: List[Dict[str, np.ndarray[Any, Any]]] = []

    def module(self) -> Any:
        """What stands for `tensorrt`."""
        api, world = self.api, self

        class Module(types.ModuleType):
            def __getattr__(self, name: str) -> Any:
                if name in api.hidden:
                    raise AttributeError(name)
                found = getattr(world.real, name)
                if name == "BuilderFlag":
                    return _Enum(found, frozenset(h[12:] for h in api.hidden if h.startswith("BuilderFlag.")))
                return found

        makers: Dict[str, Any] = {
            "Builder": lambda log: _Builder(self, log),
            "OnnxParser": lambda network, log: _Parser(self, double_of(network)),
            "Runtime": lambda log: _Runtime(self, log),
        }
        module = Module("tensorrt")
        vars(module)["__version__"] = self.version
        for name, make in makers.items():
            setattr(module, name, api.constructor(name, make))
        return module

    def datatype(self, value: Any) -> Any:
        """TensorRT's for an ONNX input or output."""
        known = {
            onnx.TensorProto.FLOAT: "FLOAT",
            onnx.TensorProto.FLOAT16: "HALF",
            onnx.TensorProto.INT32: "INT32",
            onnx.TensorProto.BOOL: "BOOL",
        }
        return getattr(self.real.DataType, known[value.type.tensor_type.elem_type])

    def complain(self, log: Any, text: str) -> None:
        log.log(self.real.ILogger.ERROR, text)


class _Enum:
    """An enum of the real module, less some members."""

    def __init__(self, real: Any, hidden: FrozenSet[str]) -> None:
        self._real, self._hidden = real, hidden

    def __getattr__(self, name: str) -> Any:
        if name in self._hidden:
            raise AttributeError(name)
        return getattr(self._real, name)


class _Builder:
    def __init__(self, world: World, log: Any) -> None:
        self._world, self._log = world, log

    @property
    def platform_has_fast_fp16(self) -> bool:
        return "fp16" not in self._world.slow

    @property
    def platform_has_fast_int8(self) -> bool:
        return "int8" not in self._world.slow

    def create_builder_config(self) -> Any:
        return self._world.api.hold("IBuilderConfig", _Config(self._world))

    def create_network(self, flags: int = 0) -> Any:
        return self._world.api.hold("INetworkDefinition", _Network(self._world, flags))

    def create_optimization_profile(self) -> Any:
        return self._world.api.hold("IOptimizationProfile", _Profile())

    def build_serialized_network(self, network: Any, config: Any) -> Optional[memoryview]:
        return self._build(double_of(network), double_of(config))

    def _build(self, network: _Network, config: _Config) -> Optional[memoryview]:
        world = self._world
        world.built.append(config)
        assert network.parser is not None
        assert network.parser() is not None, "the parser is gone, and with it the weights"
        assert config.cache is None or config.cache() is not None, "the timing cache is gone"
        for name, shape in network.shapes().items():
            if -1 in shape and not (config.profile and name in config.profile.ranges):
                world.complain(
                    self._log, _WORST.format(f"{name}: dynamic input without optimization profile")
                )
                return None
        if config.says("INT8") and not network.quantized:
            if config.int8_calibrator is None:
                world.complain(self._log, _WORST.format("no calibrator and no ranges"))
                return None
            self._calibrate(network, config)
        if not self._report(config):
            world.complain(self._log, _WORST.format("the build was interrupted"))
            return None
        if world.no_implementation:
            world.complain(
                self._log, "[optimizer.cpp::cost::31] Error Code 10: Internal Error (no tactic for /conv1)"
            )
            return None
        config.cache_content = b"times of " + world.gpu.name.encode()
        plan = {
            "version": world.version,
            "gpu": world.gpu.name,
            "any_version": config.says("VERSION_COMPATIBLE"),
            "profile": config.profile.ranges if config.profile else {},
            "model": network.model.SerializeToString().hex(),
        }
        return memoryview(json.dumps(plan).encode())

    def _calibrate(self, network: _Network, config: _Config) -> None:
        calibrator, world = config.int8_calibrator, self._world
        assert calibrator.read_calibration_cache() is None
        assert calibrator.get_batch_size() >= 1
        shapes = network.shapes()
        profile = config.calibration_profile or config.profile
        if profile is not None:
            shapes.update({name: tuple(ranges[1]) for name, ranges in profile.ranges.items()})
        names = list(shapes)
        while True:
            addresses = calibrator.get_batch(names)
            if not addresses:
                break
            batch = {}
            for name, address in zip(names, addresses):
                count = int(np.prod(shapes[name]))
                raw = world.gpu.view(address, 4 * count, world.gpu.allocated)
                batch[name] = raw.view(np.float32).reshape(shapes[name]).copy()
            world.calibrated.append(batch)
        calibrator.write_calibration_cache(b"ranges")

    def _report(self, config: _Config) -> bool:
        """Whether the monitor lets the build go on to its end."""
        monitor = config.progress_monitor
        if monitor is None:
            return True
        monitor.phase_start("Building", None, self._world.steps)
        for step in range(self._world.steps):
            monitor.phase_start("Timing", "Building", 1)
            inner = monitor.step_complete("Timing", 0)
            monitor.phase_finish("Timing")
            if not (inner and monitor.step_complete("Building", step)):
                return False
        monitor.phase_finish("Building")
        return True


class _Config:
    """`flags` by name, and what else was asked for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.flags: List[str] = []
        self.workspace: Optional[int] = None
        self.profile: Optional[_Profile] = None
        self.calibration_profile: Optional[_Profile] = None
        self.int8_calibrator: Any = None
        self.progress_monitor: Any = None
        self.hardware_compatibility_level: Any = None
        self.cache: Optional[Callable[[], Optional[_TimingCache]]] = None
        self.cache_content: Optional[bytes] = None
        self.cache_used = b""

    def says(self, flag: str) -> bool:
        return flag in self.flags

    def set_flag(self, flag: Any) -> None:
        self.flags.append(flag.name)

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        assert pool == self._world.real.MemoryPoolType.WORKSPACE
        self.workspace = pool_size

    @property
    def max_workspace_size(self) -> Optional[int]:
        return self.workspace

    @max_workspace_size.setter
    def max_workspace_size(self, size: int) -> None:
        self.workspace = size

    def add_optimization_profile(self, profile: Any) -> int:
        self.profile = double_of(profile)
        return 0

    def set_calibration_profile(self, profile: Any) -> bool:
        self.calibration_profile = double_of(profile)
        return True

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
        if serialized_timing_cache and not serialized_timing_cache.startswith(b"times of "):
            return None
        return self._world.api.hold("ITimingCache", _TimingCache(bytes(serialized_timing_cache)))

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        content = double_of(cache).content
        self.cache = weakref.ref(double_of(cache))
        if content and content != b"times of " + self._world.gpu.name.encode() and not ignore_mismatch:
            return False
        self.cache_content = self.cache_used = content
        return True

    def get_timing_cache(self) -> Any:
        if self.cache_content is None:
            return None
        return self._world.api.hold("ITimingCache", _TimingCache(self.cache_content))


class _TimingCache:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> memoryview:
        return memoryview(self.content)


class _Profile:
    def __init__(self) -> None:
        self.ranges: Dict[str, List[Sequence[int]]] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:  # noqa: A002 - TensorRT's names
        assert all(low <= best <= high for low, best, high in zip(min, opt, max))
        self.ranges[input] = [min, opt, max]


class _Network:
    def __init__(self, world: World, flags: int) -> None:
        self._world, self.flags = world, flags
        self.model = onnx.ModelProto()
        self.parser: Optional[Callable[[], Optional[_Parser]]] = None

    @property
    def quantized(self) -> bool:
        return any(node.op_type == "QuantizeLinear" for node in self.model.graph.node)

    @property
    def num_inputs(self) -> int:
        return len(self.model.graph.input)

    def get_input(self, index: int) -> Any:
        value = self.model.graph.input[index]
        tensor = types.SimpleNamespace(
            name=value.name,
            shape=_shape(value),
            dtype=self._world.datatype(value),
            is_shape_tensor=value.name in self._world.shape_inputs,
        )
        return self._world.api.hold("ITensor", tensor)

    def shapes(self) -> Dict[str, Tuple[int, ...]]:
        return {value.name: _shape(value) for value in self.model.graph.input}


class _Parser:
    def __init__(self, world: World, network: _Network) -> None:
        self._world, self._network = world, network
        network.parser = weakref.ref(self)
        self._errors: List[_ParserError] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return self._world.api.hold("ParserError", self._errors[index])

    def parse_from_file(self, model: str) -> bool:
        flags = self._world.real.NetworkDefinitionCreationFlag
        needed = flags.EXPLICIT_BATCH if hasattr(flags, "EXPLICIT_BATCH") else flags.STRONGLY_TYPED
        if not self._network.flags & 1 << int(needed):
            self._errors.append(_ParserError(-1, "", "", f"the parser takes networks with {needed.name}"))
            return False
        try:
            self._network.model = onnx.load(model)
        except Exception as error:  # noqa: BLE001 - protobuf's errors share no base with the others
            self._errors.append(_ParserError(-1, "", "", f"Failed to parse ONNX model: {error}"))
            return False
        for index, node in enumerate(self._network.model.graph.node):
            if node.domain not in ("", "ai.onnx"):
                self._errors.append(
                    _ParserError(
                        index, node.name, node.op_type, "Plugin not found, are the plugin name right?"
                    )
                )
        return not self._errors


class _ParserError:
    def __init__(self, node: int, name: str, operator: str, said: str) -> None:
        self._node, self._name, self._operator, self._said = node, name, operator, said

    def node(self) -> int:
        return self._node

    def node_name(self) -> str:
        return self._name

    def node_operator(self) -> str:
        return self._operator

    def desc(self) -> str:
        return self._said


class _Runtime:
    def __init__(self, world: World, log: Any) -> None:
        world.gpu.own()
        self._world, self.log = world, log
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
        world = self._world
        world.gpu.own()
        try:
            plan = json.loads(bytes(serialized_engine))
        except ValueError:
            world.complain(
                self.log,
                "1: [stdArchiveReader.cpp::read::46] Error Code 1: Serialization (Magic tag does not match)",
            )
            return None
        portable = plan["any_version"] and self.engine_host_code_allowed
        if plan["version"] != world.version and not portable:
            world.complain(
                self.log,
                "1: [archive.cpp::read::52] Error Code 1: Serialization (Version tag does not match)",
            )
            world.complain(
                self.log,
                "4: [runtime.cpp::load::66] Error Code 4: Internal Error (Engine deserialization failed.)",
            )
            return None
        if plan["gpu"] != world.gpu.name:
            world.complain(
                self.log,
                "6: The engine plan file is not compatible with this GPU, expecting compute 8.7 got 7.2.",
            )
            return None
        return world.api.hold("ICudaEngine", _Engine(world, plan, self))


class _Engine:
    """Tensors by name and by index, as the versions in between have both."""

    num_optimization_profiles = 1

    def __init__(self, world: World, plan: Dict[str, Any], runtime: _Runtime) -> None:
        self.world, self.profile, self.log = world, plan["profile"], runtime.log
        self.runtime = weakref.ref(runtime)
        self.model = onnx.ModelProto.FromString(bytes.fromhex(plan["model"]))
        self.inputs = [value.name for value in self.model.graph.input]
        self.values = {value.name: value for value in (*self.model.graph.input, *self.model.graph.output)}
        self.names = list(self.values)

    def create_execution_context(self) -> Any:
        self.world.gpu.own()
        if self.world.gpu.room < 1:
            self.world.complain(
                self.log, "2: [executionContext.cpp::alloc::9] Error Code 2: OutOfMemory (no memory)"
            )
            return None
        return self.world.api.hold("IExecutionContext", _Context(self))

    @property
    def num_io_tensors(self) -> int:
        return len(self.names)

    num_bindings = num_io_tensors

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    get_binding_name = get_tensor_name

    def get_tensor_mode(self, name: str) -> Any:
        modes = self.world.real.TensorIOMode
        return modes.INPUT if name in self.inputs else modes.OUTPUT

    def binding_is_input(self, index: int) -> bool:
        return self.names[index] in self.inputs

    def get_tensor_shape(self, name: str) -> Tuple[int, ...]:
        return _shape(self.values[name])

    def get_binding_shape(self, index: int) -> Tuple[int, ...]:
        return self.get_tensor_shape(self.names[index])

    def get_tensor_dtype(self, name: str) -> Any:
        return self.world.datatype(self.values[name])

    def get_binding_dtype(self, index: int) -> Any:
        return self.get_tensor_dtype(self.names[index])

    def get_tensor_location(self, name: str) -> Any:
        locations = self.world.real.TensorLocation
        return locations.HOST if name in self.world.shape_inputs else locations.DEVICE

    def get_location(self, index: int) -> Any:
        return self.get_tensor_location(self.names[index])

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> List[Any]:
        assert profile_index == 0
        return list(self.profile[name])

    def get_profile_shape(self, profile_index: int, binding: int) -> List[Any]:
        return self.get_tensor_profile_shape(self.names[binding], profile_index)


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self._engine, self._gpu = engine, engine.world.gpu
        self._shapes: Dict[str, Tuple[int, ...]] = {}
        self._addresses: Dict[str, int] = {}
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # a toy's warnings are no concern of a test
        # Node by node, as the graph says: fused, onnxruntime's int8 saturates on processors without VNNI.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = onnxruntime.InferenceSession(
            engine.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        self._gpu.own()
        least, _best, most = self._engine.profile.get(name, [self._engine.get_tensor_shape(name)] * 3)
        self._shapes[name] = tuple(shape)
        return all(low <= size <= high for low, size, high in zip(least, shape, most))

    def set_binding_shape(self, binding: int, shape: Sequence[int]) -> bool:
        return self.set_input_shape(self._engine.names[binding], shape)

    def get_tensor_shape(self, name: str) -> Tuple[int, ...]:
        if any(node.op_type in _OF_VALUES for node in self._engine.model.graph.node):
            return tuple(-1 for _side in _shape(self._engine.values[name]))
        zeros = {name: np.zeros(self._shapes[name], self._dtype(name)) for name in self._engine.inputs}
        (result,) = self._session.run([name], zeros)
        return tuple(result.shape)

    def get_binding_shape(self, binding: int) -> Tuple[int, ...]:
        return self.get_tensor_shape(self._engine.names[binding])

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return memory != 0

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert self._engine.runtime() is not None, "the runtime is gone, and the engine is still used"
        if self._engine.world.does_not_run:
            self._engine.world.complain(
                self._engine.log, "1: [runner.cpp::go::5] Error Code 1: Cask (launch failed)"
            )
            return False
        addresses = dict(self._addresses)
        shapes = dict(self._shapes)
        self._gpu.enqueue(stream_handle, lambda: self._execute(addresses, shapes))
        return True

    def execute_async_v2(
        self, bindings: List[int], stream_handle: int, input_consumed: Optional[object] = None
    ) -> bool:
        self._addresses = dict(zip(self._engine.names, bindings))
        return self.execute_async_v3(stream_handle)

    def _execute(self, addresses: Dict[str, int], shapes: Dict[str, Tuple[int, ...]]) -> None:
        feeds = {
            name: self._at(addresses[name], shapes[name], self._dtype(name)) for name in self._engine.inputs
        }
        outputs = [name for name in self._engine.names if name not in self._engine.inputs]
        for name, result in zip(outputs, self._session.run(outputs, feeds)):
            self._at(addresses[name], result.shape, result.dtype)[...] = result

    def _at(self, address: int, shape: Tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        dtype = np.dtype(dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        return self._gpu.view(address, size, self._gpu.allocated).view(dtype).reshape(shape)

    def _dtype(self, name: str) -> Any:
        return onnx.helper.tensor_dtype_to_np_dtype(self._engine.values[name].type.tensor_type.elem_type)


def _shape(value: Any) -> Tuple[int, ...]:
    return tuple(
        side.dim_value if side.HasField("dim_value") else -1 for side in value.type.tensor_type.shape.dim
    )


def write(
    path: Path, nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], *constants: Any
) -> Path:
    """An ONNX file of these."""
    graph = onnx.helper.make_graph(nodes, "toy", inputs, outputs, constants)
    opsets = [onnx.helper.make_opsetid("", 13), onnx.helper.make_opsetid("toy", 1)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return path
