from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import onnx
import onnxruntime
import pytest
import toy
from onnx import TensorProto

from edgeai_runtime.convert.tensorrt.graph import has_quantization, inputs_of, node_at
from edgeai_runtime.convert.tensorrt.own_types import in_own_types
from edgeai_runtime.errors import ConvertError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The toy with a bias, and with names for its nodes, as what was prepared has them."""
    model = onnx.load_from_string(toy.toy_model(opset=13))
    for node in model.graph.node:
        node.name = node.op_type.lower()
        if node.op_type == "Conv":
            node.input.append("offset")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(toy.CHANNELS, np.float32), "offset"))
    return toy.write_model(tmp_path / "model.onnx", model.SerializeToString())


def samples() -> List[Dict[str, np.ndarray[Any, Any]]]:
    """The four greys of the toy's letters and its white."""
    levels = np.array([*toy.GREYS, toy.WHITE], np.float32) / 255
    image = np.repeat(levels, toy.BAR)[None, None, None, :]
    return [{"x": np.ascontiguousarray(np.broadcast_to(image, (1, 3, toy.BAR, image.shape[-1])))}]


def answer(file: Path) -> np.ndarray[Any, Any]:
    """What the graph says, node by node: fused, onnxruntime's int8 saturates on processors without VNNI."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    (result,) = session.run(["y"], samples()[0])
    return np.asarray(result)


def test_half_precision_is_within_and_clients_see_none_of_it(source: Path, tmp_path: Path) -> None:
    with in_own_types(source, tmp_path / "m.engine", "fp16", None) as typed:
        graph = onnx.load(str(typed)).graph
        ends = {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
        within = {tensor.data_type for tensor in graph.initializer}
        np.testing.assert_allclose(answer(typed), answer(source), atol=0.02)
    assert ends == {TensorProto.FLOAT}
    assert TensorProto.FLOAT not in within
    assert TensorProto.FLOAT16 in within
    assert not typed.exists()


def test_eight_bits_are_symmetric_pairs_and_biases_stay(source: Path, tmp_path: Path) -> None:
    with in_own_types(source, tmp_path / "m.engine", "int8", samples()) as typed:
        graph = onnx.load(str(typed)).graph
        np.testing.assert_array_equal(answer(typed).argmax(-1), answer(source).argmax(-1))
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    quantizing = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    assert len(quantizing) >= 4  # what goes into the convolution and the product, and their weights
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = values[node.input[2]]
            assert zero.dtype == np.int8
            assert not zero.any()
    # TensorRT knows no 32-bit DequantizeLinear, which is what a bias would be given.
    assert not [name for name, value in values.items() if value.dtype == np.int32]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_model_that_is_as_it_should_be_is_taken_as_it_is(
    precision: str, source: Path, tmp_path: Path
) -> None:
    if precision == "int8":
        with in_own_types(source, tmp_path / "m.engine", "int8", samples()) as typed:
            source.write_bytes(typed.read_bytes())
    with in_own_types(source, tmp_path / "m.engine", precision, None) as typed:
        assert typed == source
    assert source.exists()


def test_int8_without_samples_or_weights_is_refused(tmp_path: Path, source: Path) -> None:
    with pytest.raises(ConvertError, match="there are none"), in_own_types(
        source, tmp_path / "m.engine", "int8", None
    ):
        pass
    plain = onnx.helper.make_graph(
        [onnx.helper.make_node("Abs", ["x"], ["y"])],
        "plain",
        [onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, toy.BAR, "W"])],
        [onnx.helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, toy.BAR, "W"])],
    )
    opsets = [onnx.helper.make_opsetid("", 13)]
    onnx.save(onnx.helper.make_model(plain, opset_imports=opsets, ir_version=8), str(source))
    with pytest.raises(ConvertError, match="nothing was quantized"), in_own_types(
        source, tmp_path / "m.engine", "int8", samples()
    ):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx"]


def test_what_the_quantizer_stumbles_over_is_one_sentence(source: Path, tmp_path: Path) -> None:
    wrong = [{"z": np.zeros(1, np.float32)}]
    with pytest.raises(ConvertError, match="cannot be made int8") as caught, in_own_types(
        source, tmp_path / "m.engine", "int8", wrong
    ):
        pass
    assert "\n" not in caught.value.message


def test_a_graph_says_its_inputs_its_nodes_and_whether_it_is_quantized(source: Path) -> None:
    assert inputs_of(source) == {"x": (1, 3, 8, -1)}
    assert node_at(source, 0) == ("conv", "Conv")
    assert node_at(source, -1) == ("", "")
    assert not has_quantization(source)
