"""What test_tensorrt_contract.py has each version of TensorRT's real bindings do."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List

import numpy as np
import onnx
import pytest
import tensorrt_bindings as real
from numpy_gpu import Driver, Gpu
from onnx import TensorProto
from onnx.helper import make_node, make_tensor_value_info
from onnx.numpy_helper import from_array
from onnx_tensorrt import AFTER_8_2, World, write

WORLD = World(real, Gpu(), AFTER_8_2 if os.environ.get("EDGEAI_AS_8_2") else frozenset())
sys.modules["tensorrt"] = WORLD.module()
BY_INDEX = "ICudaEngine.num_io_tensors" in WORLD.api.hidden
TYPED = not hasattr(real.BuilderFlag, "FP16")
MONITORED = hasattr(real, "IProgressMonitor")

from edgeai_runtime.backends import tensorrt_api  # noqa: E402 - after what it imports is there
from edgeai_runtime.backends.base import TensorSpec  # noqa: E402
from edgeai_runtime.backends.execution import Execution  # noqa: E402
from edgeai_runtime.backends.select import open_backend, version_of  # noqa: E402
from edgeai_runtime.backends.tensorrt import TensorRTBackend  # noqa: E402
from edgeai_runtime.convert.samples import Samples  # noqa: E402
from edgeai_runtime.convert.tensorrt.build import build_engine  # noqa: E402
from edgeai_runtime.convert.tensorrt.options import EngineOptions  # noqa: E402
from edgeai_runtime.convert.tensorrt.profiles import shapes_in  # noqa: E402
from edgeai_runtime.errors import BackendError, ConvertError  # noqa: E402

BATCHES = EngineOptions(batches=(1, 2, 4))


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The version on a GPU of its own; whatever a test does, the GPU is left as it was found."""
    gpu = Gpu()
    fresh = World(real, gpu, WORLD.api.hidden)
    WORLD.__dict__.update(fresh.__dict__, api=WORLD.api)
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", Driver(gpu))  # type: ignore[arg-type]
    yield WORLD
    assert gpu.clean


def affine(path: Path, rows: Any = "N", columns: int = 3) -> Path:
    """y = 2x + 1, FP32 [N, 3]."""
    return write(
        path,
        [make_node("Mul", ["x", "two"], ["d"], "double"), make_node("Add", ["d", "one"], ["y"], "plus")],
        [make_tensor_value_info("x", TensorProto.FLOAT, [rows, columns])],
        [make_tensor_value_info("y", TensorProto.FLOAT, [rows, columns])],
        from_array(np.array(2, np.float32), "two"),
        from_array(np.array(1, np.float32), "one"),
    )


def product(path: Path) -> Path:
    """y = x @ w, FP32 [N, W, 4] to [N, W, 2]: something to quantize, with a second free side."""
    weights = np.arange(8, dtype=np.float32).reshape(4, 2) / 8
    return write(
        path,
        [make_node("MatMul", ["x", "w"], ["y"], "product")],
        [make_tensor_value_info("x", TensorProto.FLOAT, ["N", "W", 4])],
        [make_tensor_value_info("y", TensorProto.FLOAT, ["N", "W", 2])],
        from_array(weights, "w"),
    )


def built(tmp_path: Path, source: Path, options: EngineOptions = BATCHES, **more: Any) -> Path:
    target = tmp_path / "model.engine"
    build_engine(source, target, options, more.pop("progress", lambda sentence: None), **more)
    assert [path.name for path in tmp_path.glob("model.engine*")] == ["model.engine"]
    return target


def loaded(tmp_path: Path, source: Path, options: EngineOptions = BATCHES) -> TensorRTBackend:
    return TensorRTBackend.load(built(tmp_path, source, options), Execution())


def rows(count: int) -> Dict[str, np.ndarray[Any, Any]]:
    return {"x": np.arange(3 * count, dtype=np.float32).reshape(count, 3)}


def refused(tmp_path: Path, source: Path, options: EngineOptions = BATCHES, **more: Any) -> str:
    """The one sentence; nothing is left of the attempt."""
    with pytest.raises(ConvertError) as caught:
        build_engine(source, tmp_path / "model.engine", options, lambda sentence: None, **more)
    assert list(tmp_path.glob("model.engine*")) == []
    assert "\n" not in caught.value.message
    return caught.value.message


# Serving.


def test_an_engine_says_what_it_takes_and_gives(tmp_path: Path) -> None:
    backend = open_backend("tensorrt", built(tmp_path, affine(tmp_path / "m.onnx")), Execution())
    assert backend.inputs == (TensorSpec("x", "FP32", (-1, 3)),)
    assert backend.outputs == (TensorSpec("y", "FP32", (-1, 3)),)
    assert (backend.provider, backend.fell_back, backend.threads) == ("tensorrt", (), 1)
    assert backend.version == version_of("tensorrt")
    backend.close()


def test_a_run_gives_what_the_model_computes(tmp_path: Path) -> None:
    backend = loaded(tmp_path, affine(tmp_path / "m.onnx"))
    for count in (1, 4, 2):
        np.testing.assert_array_equal(backend.run(rows(count))["y"], 2 * rows(count)["x"] + 1)
    backend.close()


def test_an_answer_outlives_the_next_run(tmp_path: Path) -> None:
    backend = loaded(tmp_path, affine(tmp_path / "m.onnx"))
    first = backend.run(rows(2))["y"]
    backend.run({"x": np.full((2, 3), 9, np.float32)})
    np.testing.assert_array_equal(first, 2 * rows(2)["x"] + 1)
    backend.close()


def test_a_tensor_that_is_not_contiguous_is_taken_as_it_reads(tmp_path: Path) -> None:
    backend = loaded(tmp_path, affine(tmp_path / "m.onnx"))
    turned = np.arange(6, dtype=np.float32).reshape(3, 2).T
    np.testing.assert_array_equal(backend.run({"x": turned})["y"], 2 * turned + 1)
    backend.close()


def test_a_model_of_fixed_shapes_needs_no_profile(tmp_path: Path, world: World) -> None:
    backend = loaded(tmp_path, affine(tmp_path / "m.onnx", rows=2))
    assert world.built[0].profile is None
    np.testing.assert_array_equal(backend.run(rows(2))["y"], 2 * rows(2)["x"] + 1)
    with pytest.raises(BackendError, match=r"the engine takes \[2, 3\]; send"):
        backend.run(rows(1))
    backend.close()


def test_memory_is_reserved_again_only_for_more_than_ever_before(tmp_path: Path, world: World) -> None:
    backend = loaded(tmp_path, affine(tmp_path / "m.onnx"))
    backend.run(rows(2))
    before = world.gpu.reserved
    backend.run(rows(1))
    backend.run(rows(2))
    assert world.gpu.reserved == before
    backend.run(rows(4))
    assert world.gpu.reserved > before
    backend.close()


def test_trimming_gives_back_what_larger_tensors_took(tmp_path: Path, world: World) -> None:
    backend = loaded(tmp_path, affine(tmp_path / "m.onnx"))
    backend.run(rows(4))
    backend.trim(rows(1))
    assert sorted(map(len, world.gpu.allocated.values())) == [12, 12]
    np.testing.assert_array_equal(backend.run(rows(1))["y"], 2 * rows(1)["x"] + 1)
    backend.close()


def test_any_thread_may_run_it(tmp_path: Path) -> None:
    backend = loaded(tmp_path, affine(tmp_path / "m.onnx"))
    answers: List[Any] = []
    for _time in range(2):
        thread = threading.Thread(target=lambda: answers.append(backend.run(rows(1))["y"]))
        thread.start()
        thread.join()
    np.testing.assert_array_equal(answers, [2 * rows(1)["x"] + 1] * 2)
    backend.close()


@pytest.mark.parametrize("count", [0, 5])
def test_a_batch_beyond_the_profile_is_refused_with_what_it_takes(tmp_path: Path, count: int) -> None:
    backend = loaded(tmp_path, affine(tmp_path / "m.onnx"))
    with pytest.raises(BackendError, match=rf"'x' has the shape \[{count}, 3\].*takes \[1, 3\] to \[4, 3\]"):
        backend.run(rows(count))
    np.testing.assert_array_equal(backend.run(rows(1))["y"], 2 * rows(1)["x"] + 1)
    backend.close()


def test_a_tensor_of_another_type_or_name_is_refused(tmp_path: Path) -> None:
    backend = loaded(tmp_path, affine(tmp_path / "m.onnx"))
    with pytest.raises(BackendError, match="'x' is a tensor of float64, the engine takes float32"):
        backend.run({"x": np.zeros((1, 3))})
    with pytest.raises(BackendError, match=r"the tensors are \['z'\], the engine takes \['x'\]"):
        backend.run({"z": np.zeros((1, 3), np.float32)})
    backend.close()


def test_a_closed_engine_does_not_run_and_can_be_closed_again(tmp_path: Path) -> None:
    backend = loaded(tmp_path, affine(tmp_path / "m.onnx"))
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.run(rows(1))


def test_an_engine_of_another_version_is_refused_with_tensorrts_reason(tmp_path: Path, world: World) -> None:
    target = built(tmp_path, affine(tmp_path / "m.onnx"))
    world.version = "9.9.9"
    with pytest.raises(
        BackendError, match=r"Version tag does not match.*; Error Code 4.*convert the model"
    ) as caught:
        TensorRTBackend.load(target, Execution())
    assert ".cpp" not in caught.value.message
    assert str(target) in caught.value.message


def test_an_engine_of_another_gpu_is_refused(tmp_path: Path, world: World) -> None:
    target = built(tmp_path, affine(tmp_path / "m.onnx"))
    world.gpu.name = "another GPU"
    with pytest.raises(BackendError, match="not compatible with this GPU"):
        TensorRTBackend.load(target, Execution())


def test_a_file_that_is_no_engine_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.engine").write_bytes(b"noise")
    with pytest.raises(BackendError, match=r"noise\.engine: .*Magic tag does not match"):
        TensorRTBackend.load(tmp_path / "noise.engine", Execution())
    with pytest.raises(BackendError, match=r"missing\.engine: cannot be read"):
        TensorRTBackend.load(tmp_path / "missing.engine", Execution())


def test_a_gpu_without_memory_is_told_and_nothing_is_kept(tmp_path: Path, world: World) -> None:
    target = built(tmp_path, affine(tmp_path / "m.onnx"))
    world.gpu.room = 0
    with pytest.raises(BackendError, match="OutOfMemory"):
        TensorRTBackend.load(target, Execution())
    world.gpu.room = 20
    backend = TensorRTBackend.load(target, Execution())
    with pytest.raises(BackendError, match="cuMemAlloc failed with CUDA_ERROR_OUT_OF_MEMORY"):
        backend.run(rows(2))
    np.testing.assert_array_equal(backend.run(rows(1))["y"], 2 * rows(1)["x"] + 1)
    backend.close()


def test_a_run_that_does_not_start_says_why(tmp_path: Path, world: World) -> None:
    backend = loaded(tmp_path, affine(tmp_path / "m.onnx"))
    world.does_not_run = True
    with pytest.raises(BackendError, match=r"does not run \(Error Code 1: Cask \(launch failed\)\)"):
        backend.run(rows(1))
    backend.close()


def test_half_precision_goes_in_and_out(tmp_path: Path) -> None:
    source = write(
        tmp_path / "m.onnx",
        [make_node("Add", ["x", "x"], ["y"])],
        [make_tensor_value_info("x", TensorProto.FLOAT16, ["N", 2])],
        [make_tensor_value_info("y", TensorProto.FLOAT16, ["N", 2])],
    )
    backend = loaded(tmp_path, source)
    assert backend.inputs == (TensorSpec("x", "FP16", (-1, 2)),)
    answer = backend.run({"x": np.ones((3, 2), np.float16)})["y"]
    assert (answer.dtype, answer.tolist()) == (np.dtype(np.float16), [[2.0, 2.0]] * 3)
    backend.close()


def test_a_scalar_output_is_a_scalar(tmp_path: Path) -> None:
    source = write(
        tmp_path / "m.onnx",
        [make_node("ReduceMax", ["x"], ["y"], keepdims=0)],
        [make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [make_tensor_value_info("y", TensorProto.FLOAT, [])],
    )
    backend = loaded(tmp_path, source)
    answer = backend.run(rows(2))["y"]
    assert (answer.shape, float(answer)) == ((), 5.0)
    backend.close()


# Building.


def test_the_profile_is_of_the_batches_and_of_what_samples_are_long(tmp_path: Path, world: World) -> None:
    shapes = {"x": [(1, 5, 4), (1, 9, 4), (1, 6, 4)]}
    source = product(tmp_path / "m.onnx")
    built(tmp_path, source, EngineOptions(batches=(1, 2, 8), shapes=shapes))
    assert world.built[0].profile is not None
    assert world.built[0].profile.ranges == {"x": [(1, 5, 4), (2, 6, 4), (8, 9, 4)]}


def test_a_free_side_of_which_no_sample_tells_is_refused(tmp_path: Path) -> None:
    assert "how long its side 1 is" in refused(tmp_path, product(tmp_path / "m.onnx"))


def test_layers_get_the_workspace_that_was_given(tmp_path: Path, world: World) -> None:
    built(tmp_path, affine(tmp_path / "m.onnx"), EngineOptions(workspace_mib=96))
    assert world.built[0].workspace == 96 << 20


def test_progress_is_told_and_what_was_measured_kept(tmp_path: Path, world: World) -> None:
    told: List[str] = []
    options = EngineOptions(timing_cache=tmp_path / "times")
    built(tmp_path, affine(tmp_path / "m.onnx"), options, progress=told.append)
    assert told[0].startswith("building the engine of m.onnx with TensorRT")
    assert told[-1] == "running the engine once"
    assert ("building the engine: Building, 50 %" in told) is MONITORED
    (tmp_path / "model.engine").unlink()
    built(tmp_path, affine(tmp_path / "m.onnx"), options)
    assert [config.cache_used for config in world.built] == [b"", b"times of this GPU"]


@pytest.mark.parametrize("kept", [b"damaged", b"times of another GPU"])
def test_times_that_do_not_fit_are_measured_again(tmp_path: Path, world: World, kept: bytes) -> None:
    (tmp_path / "times").write_bytes(kept)
    built(tmp_path, affine(tmp_path / "m.onnx"), EngineOptions(timing_cache=tmp_path / "times"))
    assert world.built[0].cache_used == b""
    assert (tmp_path / "times").read_bytes() == b"times of this GPU"


@pytest.mark.skipif(not MONITORED, reason="before 10 the process's own limit ends a build")
def test_a_build_ends_at_its_time_limit_and_where_nobody_listens(tmp_path: Path) -> None:
    source = affine(tmp_path / "m.onnx")
    assert "it took longer than 0 s" in refused(tmp_path, source, EngineOptions(time_limit_s=0))

    def gone(sentence: str) -> None:
        if "%" in sentence:
            raise BrokenPipeError("nobody is there")

    with pytest.raises(ConvertError, match="nobody is there"):
        build_engine(source, tmp_path / "model.engine", BATCHES, gone)


def test_an_operator_that_tensorrt_does_not_know_is_named_with_its_node(tmp_path: Path) -> None:
    source = write(
        tmp_path / "m.onnx",
        [make_node("Abs", ["x"], ["a"], "first"), make_node("Foo", ["a"], ["y"], "odd", domain="toy")],
        [make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    assert "node 'odd' (Foo): Plugin not found" in refused(tmp_path, source)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\xff")
    assert "Failed to parse ONNX model" in refused(tmp_path, tmp_path / "m.onnx")


def test_what_could_not_be_run_is_not_even_built(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cuda.bindings.driver", "cuda.cuda", "pycuda.driver"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "neither cuda-python nor pycuda" in refused(tmp_path, affine(tmp_path / "m.onnx"))
    assert world.built == []


def test_a_build_that_finds_no_way_says_tensorrts_reason(tmp_path: Path, world: World) -> None:
    world.no_implementation = True
    message = refused(tmp_path, affine(tmp_path / "m.onnx"))
    assert "(Error Code 10: Internal Error (no tactic for /conv1))" in message


def test_an_engine_that_was_built_and_does_not_run_does_not_count(tmp_path: Path, world: World) -> None:
    world.does_not_run = True
    assert "launch failed" in refused(tmp_path, affine(tmp_path / "m.onnx"))


def test_an_output_whose_shape_depends_on_values_is_refused_when_it_is_built(tmp_path: Path) -> None:
    source = write(
        tmp_path / "m.onnx",
        [make_node("NonZero", ["x"], ["i"]), make_node("Cast", ["i"], ["y"], to=TensorProto.FLOAT)],
        [make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [make_tensor_value_info("y", TensorProto.FLOAT, [2, "M"])],
    )
    assert "the shape of 'y' depends on the values" in refused(tmp_path, source)


def test_an_input_that_is_a_shape_is_refused(tmp_path: Path, world: World) -> None:
    world.shape_inputs = frozenset({"x"})
    assert "'x' says the shape of another tensor" in refused(tmp_path, affine(tmp_path / "m.onnx"))


def test_an_engine_for_other_versions_is_built_and_served_or_refused(tmp_path: Path, world: World) -> None:
    source, options = affine(tmp_path / "m.onnx"), EngineOptions(version_compatible=True)
    if BY_INDEX:
        assert "cannot build an engine for other versions" in refused(tmp_path, source, options)
        return
    target = built(tmp_path, source, options)
    world.version = "9.9.9"
    backend = TensorRTBackend.load(target, Execution())
    np.testing.assert_array_equal(backend.run(rows(1))["y"], 2 * rows(1)["x"] + 1)
    backend.close()


def test_an_engine_for_other_gpus_is_asked_for_or_refused(tmp_path: Path, world: World) -> None:
    source, options = affine(tmp_path / "m.onnx"), EngineOptions(hardware_compatible=True)
    if BY_INDEX:
        assert "cannot build an engine for other kinds of GPU" in refused(tmp_path, source, options)
        return
    built(tmp_path, source, options)
    assert world.built[0].hardware_compatibility_level == real.HardwareCompatibilityLevel.AMPERE_PLUS


def test_fp16_is_a_flag_or_the_models_own_type(tmp_path: Path, world: World) -> None:
    source = affine(tmp_path / "m.onnx")
    backend = loaded(tmp_path, source, EngineOptions(precision="fp16"))
    assert world.built[0].flags == ([] if TYPED else ["FP16"])
    assert backend.inputs == (TensorSpec("x", "FP32", (-1, 3)),)
    np.testing.assert_array_equal(backend.run(rows(1))["y"], 2 * rows(1)["x"] + 1)
    backend.close()
    assert sorted(path.name for path in tmp_path.glob("*.onnx")) == ["m.onnx"]


def test_int8_is_calibrated_with_the_samples_of_the_most_usual_shape(tmp_path: Path, world: World) -> None:
    draw = np.random.default_rng(1)
    samples = [{"x": draw.normal(size=(1, width, 4)).astype(np.float32)} for width in (5, 5, 7, 8, 9)]
    if not TYPED:
        samples[1] = {"x": samples[1]["x"].astype(np.float64)}  # what is given is as the network has it
    options = EngineOptions(precision="int8", shapes=shapes_in(samples))
    target = built(tmp_path, product(tmp_path / "m.onnx"), options, calibration=samples)
    if TYPED:
        assert world.built[0].flags == []
    else:
        assert sorted(world.built[0].flags) == ["FP16", "INT8"]
        np.testing.assert_array_equal(
            [batch["x"] for batch in world.calibrated], [s["x"].astype(np.float32) for s in samples[:2]]
        )
    backend = TensorRTBackend.load(target, Execution())
    weights = np.arange(8, dtype=np.float32).reshape(4, 2) / 8
    exact = samples[0]["x"] @ weights
    np.testing.assert_allclose(backend.run(samples[0])["y"], exact, atol=0.03 if TYPED else 1e-6)
    backend.close()


def test_a_model_that_is_quantized_already_needs_no_calibration(tmp_path: Path, world: World) -> None:
    source = write(
        tmp_path / "m.onnx",
        [
            make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
            make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
        ],
        [make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        from_array(np.array(0.5, np.float32), "scale"),
        from_array(np.array(0, np.int8), "zero"),
    )
    built(tmp_path, source, EngineOptions(precision="int8"))
    assert world.built[0].int8_calibrator is None
    assert world.built[0].says("INT8") is not TYPED


def test_int8_without_samples_is_refused(tmp_path: Path) -> None:
    options = EngineOptions(precision="int8", shapes={"x": [(1, 5, 4)]})
    message = refused(tmp_path, product(tmp_path / "m.onnx"), options)
    assert "int8 takes calibration samples, and there are none" in message


def test_samples_that_cannot_be_read_are_the_reason(tmp_path: Path) -> None:
    def prepare(data: bytes) -> Dict[str, np.ndarray[Any, Any]]:
        read.append(data)
        if read.count(b"no image") > well:
            raise ValueError("the second sample is no image")
        return {"x": np.zeros((1, 5, 4), np.float32)}

    for name in ("image", "no image"):
        (tmp_path / name).write_text(name)
    samples = Samples([tmp_path / "image", tmp_path / "no image"], prepare)
    options = EngineOptions(precision="int8", shapes={"x": [(1, 5, 4)]})
    read: List[bytes] = []
    well = 0 if TYPED else 1
    assert "the second sample is no image" in refused(
        tmp_path, product(tmp_path / "m.onnx"), options, calibration=samples
    )
    read.clear()
    well = 0
    with pytest.raises((ConvertError, ValueError), match="the second sample is no image"):
        build_engine(tmp_path / "m.onnx", tmp_path / "e", options, lambda sentence: None, calibration=samples)


@pytest.mark.skipif(TYPED, reason="from 11 on TensorRT does not say")
def test_a_precision_that_the_gpu_is_no_faster_with_is_refused(tmp_path: Path, world: World) -> None:
    world.slow = frozenset({"int8"})
    options = EngineOptions(precision="int8")
    assert "no faster with int8" in refused(tmp_path, affine(tmp_path / "m.onnx"), options, calibration=[])


# The real classes, with nobody in between.


def test_the_real_tensorrt_without_a_gpu_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = built(tmp_path, affine(tmp_path / "m.onnx"))
    monkeypatch.setattr(tensorrt_api.trt, "Runtime", real.Runtime)
    monkeypatch.setattr(tensorrt_api.trt, "Builder", real.Builder)
    with pytest.raises(BackendError, match=r"TensorRT .* does not start here"):
        TensorRTBackend.load(target, Execution())
    target.unlink()
    assert "does not start here" in refused(tmp_path, affine(tmp_path / "m.onnx"))


def test_the_real_logger_hands_its_errors_over() -> None:
    log = tensorrt_api.Log()
    assert isinstance(log, real.ILogger)
    log.log(real.ILogger.WARNING, "a warning")
    log.log(real.ILogger.ERROR, "3: [a.cpp::b::7] Error Code 3: one.")
    log.log(real.ILogger.INTERNAL_ERROR, "two\nlines")
    assert log.reason() == "Error Code 3: one; two lines"


def test_what_tensorrt_calls_back_takes_what_the_real_classes_say() -> None:
    from held import signatures

    classes: List[Any] = [(tensorrt_api.Log, real.ILogger, ["log"])]
    if MONITORED:
        from edgeai_runtime.convert.tensorrt.watch import Watch

        methods = ["phase_start", "step_complete", "phase_finish"]
        classes.append((Watch, real.IProgressMonitor, methods))
    if not TYPED:
        from edgeai_runtime.convert.tensorrt.calibrator import Calibrator

        methods = ["get_batch_size", "get_batch", "read_calibration_cache", "write_calibration_cache"]
        classes.append((Calibrator, real.IInt8EntropyCalibrator2, methods))
    for ours, theirs, names in classes:
        assert issubclass(ours, theirs)
        for name in names:
            (wanted,) = signatures(name, getattr(theirs, name).__doc__)
            code = vars(ours)[name].__code__
            assert code.co_varnames[1 : code.co_argcount] == tuple(parameter.name for parameter in wanted), (
                name
            )


def test_a_model_with_its_weights_beside_it_is_read(tmp_path: Path) -> None:
    source = product(tmp_path / "m.onnx")
    onnx.save(onnx.load(str(source)), str(source), save_as_external_data=True, location="w", size_threshold=0)
    assert (tmp_path / "w").exists()
    backend = loaded(tmp_path, source, EngineOptions(shapes={"x": [(1, 5, 4)]}))
    ones = np.ones((1, 5, 4), np.float32)
    np.testing.assert_allclose(backend.run({"x": ones})["y"], ones @ (np.arange(8.0).reshape(4, 2) / 8))
    backend.close()
