from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
import toys

from edgeai_runtime.backends.onnx import OnnxBackend
from edgeai_runtime.errors import InputError
from edgeai_runtime.server import v2
from edgeai_runtime.serving.model import Model


def body(*inputs: Dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"inputs": inputs, **more}).encode()


def tensor(data: Any, datatype: str = "FP32", shape: Any = (2,), **more: Any) -> Dict[str, Any]:
    return {"name": "x", "datatype": datatype, "shape": shape, "data": data, **more}


@pytest.fixture
def model(tmp_path: Path) -> Model:
    (tmp_path / "m.onnx").write_bytes(toys.add_one())
    return Model("toy", "1.0.0", "onnxruntime", OnnxBackend.load(tmp_path / "m.onnx", 1), toys.NO_PIPELINE)


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]], [[1.0, 2], [3, 4.0]]])
def test_tensors_come_flat_or_nested(data: List[Any]) -> None:
    request = v2.decode_infer(body(tensor(data, shape=[2, 2])))
    assert request.inputs["x"].dtype == np.float32
    assert request.inputs["x"].tolist() == [[1, 2], [3, 4]]
    assert (request.id, request.outputs) == (None, None)


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("BOOL", [True, False]),
        ("UINT8", [0, 255]),
        ("UINT64", [0, 2**64 - 1]),
        ("INT8", [-128, 127]),
        ("INT64", [-(2**63), 2**63 - 1]),
        ("FP16", [0.5, -2]),
        ("FP64", [0.1, 1e300]),
        ("BYTES", ["a", "ü"]),
    ],
)
def test_every_datatype_keeps_its_values(datatype: str, data: List[Any]) -> None:
    assert v2.decode_infer(body(tensor(data, datatype))).inputs["x"].tolist() == data


def test_an_empty_tensor_is_a_tensor() -> None:
    assert v2.decode_infer(body(tensor([], shape=[0, 3]))).inputs["x"].shape == (0, 3)


def test_binary_tensors_follow_the_json_in_order() -> None:
    first, second = np.arange(3, dtype="<i8"), np.asarray([[0.5]], "<f4")
    texts = b"".join(struct.pack("<I", len(text)) + text for text in (b"", "ü".encode()))
    header = body(
        {"name": "a", "datatype": "INT64", "shape": [3], "parameters": {"binary_data_size": 24}},
        {"name": "t", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(texts)}},
        tensor([7, 8]),
        {"name": "b", "datatype": "FP32", "shape": [1, 1], "parameters": {"binary_data_size": 4}},
        id="42",
    )
    # One more space shifts the tensors off their alignment.
    for padding in (b"", b" "):
        whole = header + padding + first.tobytes() + texts + second.tobytes()
        request = v2.decode_infer(whole, len(header + padding))
        assert request.id == "42"
        assert {name: array.tolist() for name, array in request.inputs.items()} == {
            "a": [0, 1, 2],
            "t": ["", "ü"],
            "x": [7, 8],
            "b": [[0.5]],
        }
        assert all(array.flags.aligned for array in request.inputs.values())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "The body is"),
        (b"{}", "'inputs' is missing"),
        (b'{"inputs": {}}', "'inputs' is {}"),
        (b'{"inputs": [1]}', "An element of 'inputs' is 1"),
        (body({"name": 1}), "'name' of an input is 1"),
        (body({"name": "x"}), "'datatype' of 'x' is missing"),
        (body(tensor([1, 2], "FP8")), "'FP8', expected one of BOOL"),
        (body(tensor([1, 2], shape=None)), "'shape' of 'x' is missing"),
        (body(tensor([1, 2], shape=[-2])), r"'shape' of 'x' is \[-2\]"),
        (body(tensor([1, 2], shape=[True])), "'shape' of 'x'"),
        (body(tensor([1, 2], shape=[3])), r"has 2 values, its shape \[3\] needs 3"),
        (body(tensor([[1], [2, 3]])), "different lengths"),
        (body(tensor(["a", "b"])), "does not hold FP32"),
        (body(tensor([0.5, 1], "INT32")), "does not hold INT32"),
        (body(tensor([True, False], "INT32")), "does not hold INT32"),
        (body(tensor([1, 0], "BOOL")), "does not hold BOOL"),
        (body(tensor([1, 2], "BYTES")), "does not hold BYTES"),
        (body(tensor([1, None])), "does not hold FP32"),
        (body(tensor([{}, 1])), "does not hold FP32"),
        (body(tensor([256, 0], "UINT8")), r"outside UINT8 \(0 to 255\)"),
        (body(tensor([-1, 0], "UINT64")), "outside UINT64"),
        (body(tensor([2**64, 0], "UINT64")), "outside UINT64"),
        (body(tensor([0.5, 2**64], "UINT64")), "does not hold UINT64"),
        (body(tensor([1, 2]), tensor([1, 2])), "there twice"),
        (body({"name": "x", "datatype": "FP32", "shape": [1]}), "has no data"),
        (body(tensor([1, 2]), id=3), "'id' is 3"),
        (body(tensor([1, 2]), outputs=["y"]), "An element of 'outputs'"),
        (body(tensor([1, 2], parameters=[])), "'parameters' of 'x'"),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        v2.decode_infer(data)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("size", "raw", "message"),
    [
        (8, b"1234", "binary_data_size 8, 4 bytes are left"),
        (-1, b"", "binary_data_size -1"),
        ("8", b"12345678", "binary_data_size 8"),
        (7, b"1234567", "no whole number of FP32 values"),
        (4, b"1234", r"has 1 values, its shape \[2\] needs 2"),
        (8, b"12345678more", "4 bytes that belong to no input"),
    ],
)
def test_binary_sizes_that_do_not_fit_are_refused(size: Any, raw: bytes, message: str) -> None:
    header = body({"name": "x", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": size}})
    with pytest.raises(InputError, match=message):
        v2.decode_infer(header + raw, len(header))


@pytest.mark.parametrize("raw", [b"\x01", b"\x05\0\0\0abc", b"\x01\0\0\0\xff"])
def test_broken_binary_text_is_refused(raw: bytes) -> None:
    header = body(
        {"name": "x", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(raw)}}
    )
    with pytest.raises(InputError, match="'x'"):
        v2.decode_infer(header + raw, len(header))


def test_a_header_longer_than_the_body_is_refused() -> None:
    with pytest.raises(InputError, match="is 100, the body has 2 bytes"):
        v2.decode_infer(b"{}", 100)


def test_an_answer_is_v2_json(model: Model) -> None:
    outputs = {"t": np.asarray(["ü", b"b"], object), "y": np.asarray([[0.5, 1.0]], np.float32)}
    assert json.loads(v2.encode_infer(model, outputs, identifier="7")) == {
        "model_name": "toy",
        "model_version": "1.0.0",
        "id": "7",
        "outputs": [
            {"name": "t", "datatype": "BYTES", "shape": [2], "data": ["ü", "b"]},
            {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 1.0]},
        ],
    }


@pytest.mark.parametrize("size", [0, 1, 9_999, 10_000, 10_001, 25_000])
def test_large_tensors_come_whole(model: Model, size: int) -> None:
    array = np.arange(size, dtype=np.int64)
    assert json.loads(v2.encode_infer(model, {"y": array}))["outputs"][0]["data"] == list(range(size))


def test_outputs_are_chosen_and_ordered_by_the_client(model: Model) -> None:
    outputs = {"a": np.zeros(1), "b": np.ones(1)}
    answer = json.loads(v2.encode_infer(model, outputs, ["b"]))
    assert [output["name"] for output in answer["outputs"]] == ["b"]
    with pytest.raises(InputError, match="no output 'c', only a, b"):
        v2.encode_infer(model, outputs, ["c"])


def test_what_json_has_no_number_for_is_null(model: Model) -> None:
    outputs = {"y": np.asarray([np.nan, np.inf, 1.0], np.float32)}
    assert json.loads(v2.encode_infer(model, outputs))["outputs"][0]["data"] == [None, None, 1.0]


def test_metadata_describes_the_models_own_tensors(model: Model) -> None:
    assert v2.metadata(model) == {
        "name": "toy",
        "versions": ["1.0.0"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
    }
