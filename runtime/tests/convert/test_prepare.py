"""The traps of real models, each met before the quantizer meets it."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data
from toy import operators, picture, toy_model, write_model

from edgeai_runtime.convert.halve import halve
from edgeai_runtime.convert.optimize import optimize
from edgeai_runtime.convert.prepare import finish, prepare
from edgeai_runtime.convert.processor import saturates
from edgeai_runtime.convert.prune import prune
from edgeai_runtime.convert.quantize import quantize_dynamic, quantize_static
from edgeai_runtime.convert.samples import Samples
from edgeai_runtime.errors import ConvertError
from edgeai_runtime.release import Recipe


def opset(path: Path) -> int:
    return int(next(entry.version for entry in onnx.load(str(path)).opset_import if entry.domain == ""))


def test_an_old_operator_set_is_lifted_for_quantization(tmp_path: Path) -> None:
    source = write_model(tmp_path / "source.onnx", toy_model(opset=11))
    prepare(source, tmp_path, tmp_path / "prepared.onnx", "toy 1.0.0", for_quantization=True)
    assert opset(tmp_path / "prepared.onnx") == 17


def test_an_operator_set_that_needs_no_lift_is_left_alone(tmp_path: Path) -> None:
    source = write_model(tmp_path / "source.onnx", toy_model(opset=11))
    prepare(source, tmp_path, tmp_path / "prepared.onnx", "toy 1.0.0", for_quantization=False)
    assert opset(tmp_path / "prepared.onnx") == 11


def test_weights_in_constant_nodes_become_initializers(tmp_path: Path) -> None:
    source = write_model(tmp_path / "source.onnx", toy_model(constants=True))
    prepare(source, tmp_path, tmp_path / "prepared.onnx", "toy 1.0.0", for_quantization=True)
    assert "Constant" in operators(source)
    assert "Constant" not in operators(tmp_path / "prepared.onnx")


def test_a_newer_header_is_read_where_the_operators_are_known(tmp_path: Path) -> None:
    source = write_model(tmp_path / "source.onnx", with_header(toy_model(opset=17), ir_version=13))
    prepare(source, tmp_path, tmp_path / "prepared.onnx", "toy 1.0.0", for_quantization=True)
    assert "Conv" in operators(tmp_path / "prepared.onnx")


def test_a_finished_model_has_the_header_every_device_of_a_fleet_reads(tmp_path: Path) -> None:
    source = write_model(tmp_path / "source.onnx", toy_model(opset=17))
    made = write_model(tmp_path / "made.onnx", with_header(toy_model(opset=17), ir_version=13, author="tool"))
    finish(made, source)
    finished = onnx.load(str(made))
    assert finished.ir_version == 10
    assert [entry.domain for entry in finished.opset_import] == [""]
    assert [(entry.key, entry.value) for entry in finished.metadata_props] == [("author", "toy")]


@pytest.mark.parametrize("newest", [23, 99])
def test_an_operator_set_out_of_reach_is_an_error_with_a_way_out(tmp_path: Path, newest: int) -> None:
    """23 has RMSNormalization, which 21 has not; whether this device's onnx knows 23 depends on its age."""
    graph = helper.make_graph(
        [helper.make_node("RMSNormalization", ["x", "s"], ["y"])],
        "new",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xs"],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", newest)], ir_version=10)
    source = write_model(tmp_path / "source.onnx", model.SerializeToString())
    with pytest.raises(
        ConvertError, match=f"its opset {newest} .*export the model with an opset from 13 to 21"
    ):
        prepare(source, tmp_path, tmp_path / "prepared.onnx", "toy 1.0.0", for_quantization=True)


@pytest.mark.parametrize("place", ["../../secret", "{top}/secret"])
def test_tensors_that_lie_elsewhere_are_not_read(tmp_path: Path, place: str) -> None:
    """Else a model could have any file of the device among its answers."""
    (tmp_path / "secret").write_bytes(np.ones((20, 50), np.float32).tobytes())
    tensors = tmp_path / "store" / "sha256"
    tensors.mkdir(parents=True)
    model = onnx.load_from_string(wide_layer())
    set_external_data(model.graph.initializer[0], place.format(top=tmp_path))
    model.graph.initializer[0].ClearField("raw_data")
    source = write_model(tmp_path / "source.onnx", model.SerializeToString())
    with pytest.raises(ConvertError, match=r"^toy 1\.0\.0: the file is no complete ONNX model \(.*secret"):
        prepare(source, tensors, tmp_path / "prepared.onnx", "toy 1.0.0", for_quantization=False)
    assert not (tmp_path / "prepared.onnx").exists()


def test_an_optimised_model_answers_as_before(tmp_path: Path) -> None:
    source = write_model(tmp_path / "source.onnx", toy_model())
    assert optimize(source, tmp_path / "optimized.onnx") == "ORT_ENABLE_EXTENDED"
    x = np.random.default_rng(0).random((1, 3, 8, 64), dtype=np.float32)
    np.testing.assert_allclose(run(source, x), run(tmp_path / "optimized.onnx", x), rtol=1e-4, atol=1e-5)


def test_what_onnxruntime_cannot_optimise_is_copied(tmp_path: Path) -> None:
    source = write_model(tmp_path / "source.onnx", b"not a model")
    assert optimize(source, tmp_path / "optimized.onnx") == "none"
    assert (tmp_path / "optimized.onnx").read_bytes() == b"not a model"


def test_pruning_zeroes_the_smallest_share_of_each_layer(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.onnx", wide_layer())
    prune(path, 0.3, "layer", "toy 1.0.0")
    (weights,) = [numpy_helper.to_array(t) for t in onnx.load(str(path)).graph.initializer if t.name == "w"]
    original = numpy_helper.to_array(onnx.load_from_string(wide_layer()).graph.initializer[0])
    assert (weights == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert np.abs(original[weights == 0]).max() < np.abs(weights[weights != 0]).min()


def test_pruning_over_the_model_takes_from_the_layer_with_the_smallest_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    layers = {"small": rng.normal(size=(20, 30)) / 100, "large": rng.normal(size=(30, 20))}
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "small"], ["m"]),
            helper.make_node("MatMul", ["m", "large"], ["y"]),
        ],
        "two layers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 20])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 20])],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in layers.items()],
    )
    path = write_model(tmp_path / "model.onnx", helper.make_model(graph).SerializeToString())
    prune(path, 0.5, "model", "toy 1.0.0")
    left = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(path)).graph.initializer}
    zeroes = {name: (values == 0).mean() for name, values in left.items()}
    assert (zeroes["small"] + zeroes["large"]) / 2 == pytest.approx(0.5, abs=0.01)
    assert zeroes["small"] > 0.9


def test_pruning_a_model_without_weights_is_an_error(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "none",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    path = write_model(tmp_path / "model.onnx", helper.make_model(graph).SerializeToString())
    with pytest.raises(ConvertError, match="prune = 0"):
        prune(path, 0.3, "layer", "toy 1.0.0")


def test_calibration_reads_one_image_at_a_time_and_each_once(tmp_path: Path) -> None:
    source = write_model(tmp_path / "source.onnx", toy_model())
    prepare(source, tmp_path, tmp_path / "prepared.onnx", "toy 1.0.0", for_quantization=True)
    images = [write_model(tmp_path / f"{n}.png", picture("ABCD"[: n % 4 + 1], n)) for n in range(12)]
    seen = []

    def preprocess(data: bytes) -> Dict[str, np.ndarray]:
        seen.append(data)
        return {"x": np.full((1, 3, 8, 64), len(seen) / 12, np.float32)}

    drawn = Samples(images, preprocess)
    quantize_static(
        tmp_path / "prepared.onnx", tmp_path / "int8.onnx", Recipe(quantize="static"), drawn, ["sse2"], "toy"
    )
    assert seen == [image.read_bytes() for image in images]
    # The range of the input goes from 0 to the brightest image of all, not to that of the last few.
    scale = next(t for t in onnx.load(str(tmp_path / "int8.onnx")).graph.initializer if t.name == "x_scale")
    assert float(numpy_helper.to_array(scale)) == pytest.approx(1 / 255, rel=1e-5)


@pytest.mark.parametrize(
    ("flags", "reduced"),
    [
        (["sse2", "avx2"], True),
        (["sse2", "avx2", "avx512_vnni"], False),
        (["sse2", "avx_vnni"], False),
        (["fp", "asimd", "asimddp"], False),
    ],
)
def test_weights_keep_to_seven_bits_where_the_cpu_would_saturate(flags: list[str], reduced: bool) -> None:
    assert saturates(flags) is reduced


def test_a_full_range_is_used_where_it_is_asked_for(tmp_path: Path) -> None:
    source, target = tmp_path / "layer.onnx", tmp_path / "int8.onnx"
    source.write_bytes(wide_layer())
    quantize_dynamic(source, target, Recipe(quantize="dynamic", full_range=True), ["sse2"], "toy")
    weights = next(t for t in onnx.load(str(target)).graph.initializer if t.name == "w_quantized")
    assert abs(numpy_helper.to_array(weights).astype(int)).max() == 127


@pytest.mark.parametrize("calibrate", ["minmax", "percentile", "entropy"])
@pytest.mark.parametrize("activations", ["uint8", "int8"])
def test_ranges_are_found_the_way_that_is_asked_for(tmp_path: Path, calibrate: str, activations: str) -> None:
    """Of samples whose sizes differ, and one of which has a value that no other comes near."""
    source = write_model(tmp_path / "source.onnx", toy_model())
    prepare(source, tmp_path, tmp_path / "prepared.onnx", "toy 1.0.0", for_quantization=True)
    files = [write_model(tmp_path / f"{n}.sample", bytes([n])) for n in range(8)]

    def sample(data: bytes) -> Dict[str, np.ndarray]:
        image = np.random.default_rng(data[0]).random((1, 3, 8, 2048 + 8 * data[0]), dtype=np.float32)
        image[0, 0, 0, 0] = 20.0 if data[0] == 3 else 0.0
        return {"x": image}

    target = tmp_path / "int8.onnx"
    recipe = Recipe(quantize="static", calibrate=calibrate, activations=activations)
    quantize_static(tmp_path / "prepared.onnx", target, recipe, Samples(files, sample), [], "toy")
    made = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(target)).graph.initializer}
    assert made["x_zero_point"].dtype == np.dtype(activations)
    whole = 255 * float(made["x_scale"]) >= 19.9
    assert whole is (calibrate == "minmax")


def test_the_layers_that_quantizing_harms_most_stay_as_they_were(tmp_path: Path) -> None:
    """One weight so large that seven bits leave nothing of the others in its layer."""
    layers = [np.random.default_rng(n).normal(size=(20, 20)).astype(np.float32) for n in range(4)]
    layers[2][0, 0] = 1000.0
    names = [f"layer{n}" for n in range(4)]
    graph = helper.make_graph(
        [helper.make_node("MatMul", [f"x{n}", f"w{n}"], [f"x{n + 1}"], name=names[n]) for n in range(4)],
        "layers",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, [1, 20])],
        [helper.make_tensor_value_info("x4", TensorProto.FLOAT, [1, 20])],
        [numpy_helper.from_array(values, f"w{n}") for n, values in enumerate(layers)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    source, target = write_model(tmp_path / "layers.onnx", model.SerializeToString()), tmp_path / "int8.onnx"
    files = [write_model(tmp_path / f"{n}.sample", bytes([n])) for n in range(4)]
    samples = Samples(
        files, lambda data: {"x0": np.random.default_rng(data[0]).normal(size=(1, 20)).astype(np.float32)}
    )
    quantize_static(source, target, Recipe(quantize="static", keep_fp32=0.25), samples, ["sse2"], "toy")
    kept = [t.name for t in onnx.load(str(target)).graph.initializer if t.data_type == TensorProto.FLOAT]
    assert [name for name in kept if name in {f"w{n}" for n in range(4)}] == ["w2"]


def test_half_precision_halves_the_weights_and_leaves_what_is_asked(tmp_path: Path) -> None:
    source, target = write_model(tmp_path / "layer.onnx", wide_layer()), tmp_path / "fp16.onnx"
    halve(source, target, "toy")
    (weights,) = onnx.load(str(target)).graph.initializer
    assert weights.data_type == TensorProto.FLOAT16
    x = np.random.default_rng(1).normal(size=(1, 20)).astype(np.float32)
    np.testing.assert_allclose(run(target, x), run(source, x), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("flags", "largest"), [(["sse2", "avx2"], 64), (["sse2", "avx_vnni"], 127)], ids=["no VNNI", "VNNI"]
)
def test_dynamic_weights_keep_to_them_too(tmp_path: Path, flags: list[str], largest: int) -> None:
    source, target = tmp_path / "layer.onnx", tmp_path / "int8.onnx"
    source.write_bytes(wide_layer())
    quantize_dynamic(source, target, Recipe(quantize="dynamic"), flags, "toy")
    weights = next(t for t in onnx.load(str(target)).graph.initializer if t.name == "w_quantized")
    assert abs(numpy_helper.to_array(weights).astype(int)).max() == largest


def with_header(data: bytes, ir_version: int, author: str = "toy") -> bytes:
    """The model as a newer tool would write it: IR version, metadata, and a domain it does not use."""
    model = onnx.load_from_string(data)
    model.ir_version = ir_version
    model.opset_import.append(helper.make_opsetid("com.microsoft.nchwc", 1))
    del model.metadata_props[:]
    helper.set_model_props(model, {"author": author})
    changed: bytes = model.SerializeToString()
    return changed


def run(path: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def wide_layer() -> bytes:
    weights = np.random.default_rng(0).normal(size=(20, 50)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 20])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 50])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data
