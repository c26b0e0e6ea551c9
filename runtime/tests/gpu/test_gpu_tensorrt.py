"""Engines on a real GPU, compared with onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto
from onnx.helper import make_node, make_tensor_value_info
from onnx.numpy_helper import from_array

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.select import open_backend
from edgeai_runtime.convert.tensorrt.build import build_engine
from edgeai_runtime.convert.tensorrt.options import EngineOptions
from edgeai_runtime.convert.tensorrt.profiles import shapes_in
from edgeai_runtime.convert.tensorrt.trtexec import Trtexec
from edgeai_runtime.errors import BackendError, ConvertError

# Of values of about 1: rounding, half precision's 10 bits, eight bits over a few layers.
TOLERANCE = {"fp32": 1e-2, "fp16": 3e-2, "int8": 0.3}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two convolutions and a product, x [N, 3, 16, W] to y [N, 5]."""
    draw = np.random.default_rng(7)

    def weights(name: str, *shape: int) -> Any:
        return from_array(draw.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32), name)

    nodes = [
        make_node("Conv", ["x", "w1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        make_node("Relu", ["c1"], ["r1"], "relu1"),
        make_node("Conv", ["r1", "w2"], ["c2"], "conv2", pads=[1, 1, 1, 1]),
        make_node("Relu", ["c2"], ["r2"], "relu2"),
        make_node("GlobalAveragePool", ["r2"], ["p"], "pool"),
        make_node("Flatten", ["p"], ["f"], "flatten"),
        make_node("MatMul", ["f", "w3"], ["y"], "product"),
    ]
    constants = [weights("w1", 16, 3, 3, 3), weights("w2", 32, 16, 3, 3), weights("w3", 32, 5)]
    graph = onnx.helper.make_graph(
        nodes,
        "small",
        [make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 16, "W"])],
        [make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
        constants,
    )
    opsets = [onnx.helper.make_opsetid("", 13)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), str(tmp_path / "m.onnx"))
    return tmp_path / "m.onnx"


def samples() -> List[Tensors]:
    draw = np.random.default_rng(3)
    return [{"x": draw.normal(size=(1, 3, 16, width)).astype(np.float32)} for width in (16, 32, 32, 32, 64)]


def expected(source: Path, feeds: Tensors) -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    (result,) = session.run(["y"], feeds)
    return np.asarray(result)


def options(tmp_path: Path, precision: str = "fp32", **more: Any) -> EngineOptions:
    return EngineOptions(
        precision=precision,
        batches=(1, 1, 4),
        shapes=shapes_in(samples()),
        timing_cache=tmp_path / "times",
        **more,
    )


@pytest.mark.parametrize("precision", sorted(TOLERANCE))
def test_an_engine_answers_as_onnxruntime_does(precision: str, source: Path, tmp_path: Path) -> None:
    target, told = tmp_path / "m.engine", []
    try:
        build_engine(source, target, options(tmp_path, precision), told.append, samples())
    except ConvertError as error:
        if "no faster with" not in error.message:
            raise
        pytest.skip(error.message)
    backend = open_backend("tensorrt", target, Execution())
    try:
        batch = (
            np.repeat(samples()[1]["x"], 4, 0)[..., :24] * np.float32([1, -1, 0.5, 2])[:, None, None, None]
        )
        for feeds in [*samples(), {"x": batch}]:
            np.testing.assert_allclose(
                backend.run(feeds)["y"], expected(source, feeds), atol=TOLERANCE[precision]
            )
    finally:
        backend.close()
    assert told[-1] == "running the engine once"
    assert (tmp_path / "times").stat().st_size > 0


def test_what_does_not_fit_is_refused_and_the_engine_serves_on(source: Path, tmp_path: Path) -> None:
    build_engine(source, tmp_path / "m.engine", options(tmp_path), lambda sentence: None)
    backend = open_backend("tensorrt", tmp_path / "m.engine", Execution())
    try:
        with pytest.raises(BackendError, match=r"takes \[1, 3, 16, 16\] to \[4, 3, 16, 64\]"):
            backend.run({"x": np.zeros((5, 3, 16, 16), np.float32)})
        feeds = samples()[0]
        backend.trim(feeds)
        np.testing.assert_allclose(backend.run(feeds)["y"], expected(source, feeds), atol=TOLERANCE["fp32"])
    finally:
        backend.close()


def test_a_damaged_engine_is_refused(source: Path, tmp_path: Path) -> None:
    build_engine(source, tmp_path / "m.engine", options(tmp_path), lambda sentence: None)
    (tmp_path / "m.engine").write_bytes((tmp_path / "m.engine").read_bytes()[:1000])
    with pytest.raises(BackendError, match=r"m\.engine: TensorRT .* does not load this engine"):
        open_backend("tensorrt", tmp_path / "m.engine", Execution())


def test_an_unknown_operator_is_named(tmp_path: Path) -> None:
    graph = onnx.helper.make_graph(
        [make_node("Foo", ["x"], ["y"], "odd", domain="toy")],
        "unknown",
        [make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    opsets: List[Any] = [onnx.helper.make_opsetid("", 13), onnx.helper.make_opsetid("toy", 1)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), str(tmp_path / "m.onnx"))
    with pytest.raises(ConvertError, match=r"Foo"):
        build_engine(tmp_path / "m.onnx", tmp_path / "m.engine", EngineOptions(), lambda sentence: None)


def test_trtexec_builds_what_is_served(source: Path, tmp_path: Path) -> None:
    program = Trtexec.find()
    if program is None:
        pytest.skip("no trtexec here")
    program.build(source, tmp_path / "m.engine", options(tmp_path), lambda sentence: None, None)
    backend = open_backend("tensorrt", tmp_path / "m.engine", Execution())
    try:
        feeds = samples()[2]
        np.testing.assert_allclose(backend.run(feeds)["y"], expected(source, feeds), atol=TOLERANCE["fp32"])
    finally:
        backend.close()


def test_several_engines_serve_beside_each_other(source: Path, tmp_path: Path) -> None:
    build_engine(source, tmp_path / "m.engine", options(tmp_path), lambda sentence: None)
    backends = [open_backend("tensorrt", tmp_path / "m.engine", Execution()) for _each in range(2)]
    answers: List[Dict[str, Any]] = [backend.run(samples()[1]) for backend in backends]
    backends[0].close()
    answers.append(backends[1].run(samples()[1]))
    backends[1].close()
    for answer in answers:
        np.testing.assert_allclose(answer["y"], expected(source, samples()[1]), atol=TOLERANCE["fp32"])
