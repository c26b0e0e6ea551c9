"""An engine by TensorRT's builder, through its Python API."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Mapping, Optional, Tuple

import numpy as np

from edgeai_runtime.backends.cuda import open_cuda
from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.tensorrt import TensorRTBackend
from edgeai_runtime.backends.tensorrt_api import Log, started, trt
from edgeai_runtime.convert.samples import Samples
from edgeai_runtime.convert.tensorrt.graph import has_quantization, node_at
from edgeai_runtime.convert.tensorrt.options import FP16, FP32, INT8, EngineOptions, Progress
from edgeai_runtime.convert.tensorrt.own_types import in_own_types
from edgeai_runtime.convert.tensorrt.profiles import Profile, Shape, profiles
from edgeai_runtime.durable import write_atomic
from edgeai_runtime.errors import ConvertError

_MIB = 1 << 20


def build(
    source: Path, target: Path, options: EngineOptions, progress: Progress, calibration: Optional[Samples]
) -> None:
    """Write the engine, not yet run, to `target`. Raises ConvertError, BackendError, StorageError."""
    open_cuda().close()  # a build takes minutes: that its engine could not be run is told before
    log = Log()
    builder = started("Builder", log)
    config = builder.create_builder_config()
    if _typed():
        # The model says each tensor's precision; the builder is told none.
        with in_own_types(source, target, options.precision, calibration) as typed:
            network, parser = _parsed(builder, typed, source, log)
    else:
        network, parser = _parsed(builder, source, source, log)
    ranges = profiles(_inputs(network, source), options.batches, options.shapes)
    if ranges:
        config.add_optimization_profile(_profile(builder, ranges))
    _limit_workspace(config, options.workspace_mib * _MIB)
    _ask_for_compatibility(config, options, source)
    cache = _use_timing_cache(config, options.timing_cache)
    watch = _watched(config, options, progress)
    calibrator = None if _typed() else _precision(builder, config, options, source, network, calibration)
    progress(f"building the engine of {source.name} with TensorRT {trt.__version__}")
    log.clear()
    try:
        plan = builder.build_serialized_network(network, config)
    finally:
        del parser, cache  # they had to stay until here
        if calibrator is not None:
            calibrator.close()
    _keep_timing_cache(config, options.timing_cache)
    for told in (watch, calibrator):
        if told is not None and told.failure is not None:
            raise ConvertError(f"{source}: no engine was built: {told.failure}") from None
    if plan is None:
        raise ConvertError(
            f"{source}: TensorRT {trt.__version__} builds no engine of it ({log.reason()}); choose another "
            "precision or engine for this device class."
        )
    write_atomic(target, plan)


def prove(path: Path) -> None:
    """Load the engine as it will be served, and run it once. Raises BackendError."""
    backend = TensorRTBackend.load(path, Execution())
    try:
        backend.run(backend.sample())
    finally:
        backend.close()


def _typed() -> bool:
    """Whether networks are always strongly typed here, as from 11 on."""
    return not hasattr(trt.BuilderFlag, "FP16")


def _parsed(builder: Any, file: Path, source: Path, log: Log) -> Tuple[Any, Any]:
    """The network in the file, and the parser, which owns the network's weights and has to stay until it was
    built. Raises ConvertError, which names the node that is to blame."""
    flags = trt.NetworkDefinitionCreationFlag
    wanted = flags.STRONGLY_TYPED if _typed() else flags.EXPLICIT_BATCH
    network = builder.create_network(1 << int(wanted))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(file)):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        blamed = "; ".join(_blamed(error, file) for error in errors[:3]) or log.reason()
        raise ConvertError(
            f"{source}: TensorRT {trt.__version__} does not take this model: {blamed}; export it with other "
            'operators or set engine = "onnxruntime" in the recipe.'
        )
    return network, parser


def _blamed(error: Any, file: Path) -> str:
    """ "node 'conv1' (Conv): what the parser says"."""
    said = " ".join(error.desc().split()).rstrip(". ")
    if hasattr(error, "node_operator"):
        name, operator = error.node_name(), error.node_operator()
    else:  # before 10 it tells the node's place in the file
        name, operator = node_at(file, error.node())
    return f"node '{name}' ({operator}): {said}" if operator else said


def _inputs(network: Any, source: Path) -> Mapping[str, Shape]:
    tensors = [network.get_input(index) for index in range(network.num_inputs)]
    for tensor in tensors:
        if tensor.is_shape_tensor:
            raise ConvertError(
                f"{source}: its input '{tensor.name}' says the shape of another tensor, which cannot be "
                "served; export the model with that shape fixed, or as a free dimension."
            )
    return {tensor.name: tuple(tensor.shape) for tensor in tensors}


def _dtypes(network: Any) -> Mapping[str, np.dtype[Any]]:
    tensors = [network.get_input(index) for index in range(network.num_inputs)]
    return {tensor.name: np.dtype(trt.nptype(tensor.dtype)) for tensor in tensors}


def _profile(builder: Any, ranges: Mapping[str, Profile]) -> Any:
    profile = builder.create_optimization_profile()
    for name, wanted in ranges.items():
        profile.set_shape(name, wanted.least, wanted.best, wanted.most)
    return profile


def _limit_workspace(config: Any, size: int) -> None:
    if hasattr(trt, "MemoryPoolType"):
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size)
    else:  # before 8.4
        config.max_workspace_size = size


def _ask_for_compatibility(config: Any, options: EngineOptions, source: Path) -> None:
    """Raises ConvertError where this TensorRT cannot."""
    if options.version_compatible:
        if not hasattr(trt.BuilderFlag, "VERSION_COMPATIBLE"):
            raise _cannot(source, "an engine for other versions of itself")
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatible:
        if not hasattr(config, "hardware_compatibility_level"):
            raise _cannot(source, "an engine for other kinds of GPU")
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS


def _cannot(source: Path, what: str) -> ConvertError:
    return ConvertError(f"{source}: TensorRT {trt.__version__} cannot build {what}; do not ask for it.")


def _use_timing_cache(config: Any, file: Optional[Path]) -> Any:
    """What the build before measured, where it was on such a GPU; otherwise a new one. It has to stay until
    the engine was built."""
    if file is None:
        return None
    try:
        kept = file.read_bytes()
    except OSError:
        kept = b""
    for content in dict.fromkeys((kept, b"")):
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return cache
    return None


def _keep_timing_cache(config: Any, file: Optional[Path]) -> None:
    cache = None if file is None else config.get_timing_cache()
    if file is not None and cache is not None:
        write_atomic(file, cache.serialize())


def _watched(config: Any, options: EngineOptions, progress: Progress) -> Any:
    """Who reports progress and keeps the time limit, None where TensorRT has no such thing."""
    if not hasattr(trt, "IProgressMonitor"):
        return None
    from edgeai_runtime.convert.tensorrt.watch import Watch

    config.progress_monitor = watch = Watch(progress, options.time_limit_s)
    return watch


def _precision(
    builder: Any,
    config: Any,
    options: EngineOptions,
    source: Path,
    network: Any,
    calibration: Optional[Samples],
) -> Any:
    """Allow the lower precisions; the calibrator, where there is need of one. Raises ConvertError."""
    if options.precision == FP32:
        return None
    wanted: List[str] = [FP16, INT8] if options.precision == INT8 else [FP16]
    if not getattr(builder, f"platform_has_fast_{options.precision}"):
        raise ConvertError(
            f"{source}: this GPU is no faster with {options.precision}; choose another precision for this "
            "device class."
        )
    for name in wanted:
        config.set_flag(getattr(trt.BuilderFlag, name.upper()))
    if options.precision != INT8 or has_quantization(source):
        return None
    if calibration is None:
        raise ConvertError(
            f"{source}: int8 takes calibration samples, and there are none; add them to the release or "
            "quantize the model before."
        )
    from edgeai_runtime.convert.tensorrt.calibrator import Calibrator

    calibrator = Calibrator(calibration, _dtypes(network))
    try:
        fixed = {name: Profile(shape, shape, shape) for name, shape in calibrator.shapes.items()}
        if any(-1 in shape for shape in _inputs(network, source).values()):
            config.set_calibration_profile(_profile(builder, fixed))
        config.int8_calibrator = calibrator
    except BaseException:
        calibrator.close()
        raise
    return calibrator
