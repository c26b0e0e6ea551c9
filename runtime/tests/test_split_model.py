"""A model travels as its graph and its tensors, and is the same model when it is loaded in place."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_model

sys.path.append(str(Path(__file__).parent / "convert"))

from toy import toy_model

from edgeai_runtime.errors import InputError
from edgeai_runtime.release import blob_place, content_pieces
from edgeai_runtime.release.tensors import LEAST_SIZE, SplitModel, split_model

WIDTH = 64  # a square matrix of floats this wide is larger than LEAST_SIZE


def layers(count: int, last_seed: int = 0) -> onnx.ModelProto:
    """A chain of matrix products; `last_seed` changes the last one alone."""
    weights = [
        np.random.default_rng(last_seed if layer == count - 1 else 1000 + layer)
        .normal(size=(WIDTH, WIDTH), scale=0.1)
        .astype(np.float32)
        for layer in range(count)
    ]
    names = [f"weight{layer}" for layer in range(count)]
    nodes = [
        helper.make_node("MatMul", [f"x{layer}", name], [f"x{layer + 1}"]) for layer, name in enumerate(names)
    ]
    tensors = [numpy_helper.from_array(weight, name) for weight, name in zip(weights, names)]
    return model_of(nodes, f"x{count}", tensors)


def model_of(nodes: Any, last: str, tensors: Any = ()) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "layers",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, [1, WIDTH])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [1, WIDTH])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def split(path: Path, model: onnx.ModelProto) -> SplitModel:
    path.write_bytes(model.SerializeToString())
    return split_model(path, str(path))


def lay_out(found: SplitModel, directory: Path) -> Path:
    """The blobs as a store has them, with the graph beside for those who load by its path."""
    for sha256, content in found.contents.items():
        path = directory / blob_place(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(content_pieces(content)))
    graph = directory / "graph.onnx"
    graph.write_bytes((directory / blob_place(found.graph.sha256)).read_bytes())
    return graph


def answer(path: Path) -> Any:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = np.linspace(-1, 1, WIDTH, dtype=np.float32).reshape(1, WIDTH)
    return session.run(None, {"x0": x})[0]


def in_place(graph: Path) -> onnx.ModelProto:
    model = onnx.load(str(graph), load_external_data=False)
    load_external_data_for_model(model, str(graph.parent))
    for tensor in model.graph.initializer:
        tensor.ClearField("data_location")  # where it is said that there is nothing to say
    return model


def test_a_model_of_more_than_two_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with open(path, "wb") as file:
        file.truncate(1 << 31)  # of which nothing is on the disk
    with pytest.raises(InputError, match=r"release\.toml: the model has 2\.1 GB, .* up to 2 GB; export"):
        split_model(path, "release.toml")
    assert path.stat().st_size == 1 << 31


def test_graph_and_tensors_are_the_model_where_they_lie(tmp_path: Path) -> None:
    found = split(tmp_path / "model.onnx", layers(3))
    graph = lay_out(found, tmp_path / "sha256")
    assert len(found.tensors) == 3
    assert in_place(graph) == onnx.load(str(tmp_path / "model.onnx"))
    np.testing.assert_array_equal(answer(graph), answer(tmp_path / "model.onnx"))
    assert not any(path.is_symlink() for path in graph.parent.rglob("*"))


def test_changed_last_layers_leave_the_rest_as_it_was(tmp_path: Path) -> None:
    before, after = (split(tmp_path / f"{seed}.onnx", layers(30, seed)) for seed in (1, 2))
    changed = {b.sha256: b.size for b in (after.graph, *after.tensors)}
    for blob in (before.graph, *before.tensors):
        changed.pop(blob.sha256, None)
    assert len(changed) == 2  # the graph, which names the tensors, and the last tensor
    assert sum(changed.values()) < 0.1 * (tmp_path / "2.onnx").stat().st_size


def test_equal_models_have_equal_digests_whoever_wrote_them(tmp_path: Path) -> None:
    one, other = (split(tmp_path / name, layers(3)) for name in ("a.onnx", "b.onnx"))
    assert (one.graph, one.tensors) == (other.graph, other.tensors)


def test_small_tensors_stay_in_the_graph(tmp_path: Path) -> None:
    model = model_of(
        [helper.make_node("Add", ["x0", "bias"], ["x1"])],
        "x1",
        [numpy_helper.from_array(np.zeros((1, WIDTH), np.float32), "bias")],
    )
    found = split(tmp_path / "model.onnx", model)
    assert WIDTH * 4 < LEAST_SIZE
    assert found.tensors == ()
    assert found.contents == {found.graph.sha256: tmp_path / "model.onnx"}


def constant(weight: TensorProto) -> onnx.ModelProto:
    return model_of(
        [
            helper.make_node("Constant", [], ["w"], value=weight),
            helper.make_node("MatMul", ["x0", "w"], ["x1"]),
        ],
        "x1",
    )


def branches(weight: TensorProto) -> onnx.ModelProto:
    output = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, WIDTH])
    other = helper.make_tensor("v", TensorProto.FLOAT, [WIDTH, WIDTH], [0.5] * WIDTH * WIDTH)
    return model_of(
        [
            helper.make_node("ReduceSum", ["x0"], ["sum"], keepdims=0),
            helper.make_node("Cast", ["sum"], ["condition"], to=TensorProto.BOOL),
            helper.make_node(
                "If",
                ["condition"],
                ["x1"],
                **{
                    f"{side}_branch": helper.make_graph(
                        [helper.make_node("MatMul", ["x0", tensor.name], ["z"])], side, [], [output], [tensor]
                    )
                    for side, tensor in (("then", weight), ("else", other))
                },
            ),
        ],
        "x1",
    )


@pytest.mark.parametrize(
    ("made", "tensors"), [(constant, 1), (branches, 2)], ids=["Constant nodes", "subgraphs of an If"]
)
@pytest.mark.parametrize("raw", [True, False], ids=["raw values", "packed floats"])
def test_weights_are_found_wherever_exporters_put_them(
    tmp_path: Path, made: Callable[[TensorProto], onnx.ModelProto], tensors: int, raw: bool
) -> None:
    values = np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    told: Dict[str, Any] = {"vals": values.tobytes() if raw else values.reshape(-1).tolist(), "raw": raw}
    found = split(
        tmp_path / "model.onnx", made(helper.make_tensor("w", TensorProto.FLOAT, values.shape, **told))
    )
    assert len(found.tensors) == tensors
    graph = lay_out(found, tmp_path / "sha256")
    np.testing.assert_array_equal(answer(graph), answer(tmp_path / "model.onnx"))
    onnx.checker.check_model(in_place(graph))


def test_a_model_with_weights_in_other_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save_model(layers(2), str(path), save_as_external_data=True, location="weights", size_threshold=0)
    with pytest.raises(InputError, match=r"model\.onnx keeps its weights in other files"):
        split_model(path, "release.toml")


@pytest.mark.parametrize("content", [b"a model", toy_model()[:-1], b"\xff" * 20])
def test_what_is_no_model_is_left_for_the_conversion_to_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    found = split_model(path, "release.toml")
    assert (found.tensors, found.contents) == ((), {found.graph.sha256: path})
