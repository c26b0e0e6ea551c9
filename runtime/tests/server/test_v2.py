"""The protocol on the wire, without a wire."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import pytest
import toys

from edgeai_runtime.backends.base import TensorSpec
from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.onnx import OnnxBackend
from edgeai_runtime.errors import InputError
from edgeai_runtime.monitor.counts import ModelCounts
from edgeai_runtime.protocol import requests
from edgeai_runtime.protocol.requests import Asked, Wish
from edgeai_runtime.release import Serving
from edgeai_runtime.server.v2 import models
from edgeai_runtime.server.v2.responses import JSON_SIZE, Writer
from edgeai_runtime.serving.batching import Batching
from edgeai_runtime.serving.model import Model


def body(*inputs: Dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"inputs": inputs, **more}).encode()


def tensor(data: Any, datatype: str = "FP32", shape: Any = (2,), **more: Any) -> Dict[str, Any]:
    return {"name": "x", "datatype": datatype, "shape": shape, "data": data, **more}


def decode(data: bytes, json_size: Optional[int] = None) -> Tuple[Asked, Any]:
    """What is asked, and the inputs."""
    size = len(data) if json_size is None else json_size
    asked = requests.decode(data[:size])
    return asked, asked.feeds(memoryview(data)[size:])


@pytest.fixture
def model(tmp_path: Path) -> Model:
    (tmp_path / "m.onnx").write_bytes(toys.add_one())
    return Model(
        "toy", "1.0.0", "onnxruntime", OnnxBackend.load(tmp_path / "m.onnx", Execution()), toys.NO_PIPELINE
    )


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]], [[1.0, 2], [3, 4.0]]])
def test_tensors_come_flat_or_nested(data: List[Any]) -> None:
    asked, feeds = decode(body(tensor(data, shape=[2, 2])))
    assert feeds["x"].dtype == np.float32
    assert feeds["x"].tolist() == [[1, 2], [3, 4]]
    assert (asked.id, asked.outputs, asked.priority, asked.timeout_us) == (None, None, 0, 0)


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
        ("BYTES", ["ü", "\U0001f600"]),
    ],
)
def test_every_datatype_keeps_its_values(datatype: str, data: List[Any]) -> None:
    assert decode(body(tensor(data, datatype)))[1]["x"].tolist() == data


def test_an_empty_tensor_is_a_tensor() -> None:
    assert decode(body(tensor([], shape=[0, 3])))[1]["x"].shape == (0, 3)


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
        asked, feeds = decode(whole, len(header + padding))
        assert asked.id == "42"
        assert {name: array.tolist() for name, array in feeds.items()} == {
            "a": [0, 1, 2],
            "t": ["", "ü"],
            "x": [7, 8],
            "b": [[0.5]],
        }
        assert all(array.flags.aligned for array in feeds.values())


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
        (body(tensor([1, 2]), id="\ud800"), "half of a surrogate pair"),
        (body(tensor(["\udfff", "a"], "BYTES")), "half of a surrogate pair"),
        (body(tensor([1, 2]), outputs=[{"name": "y"}] * 2), "'y' is asked for twice"),
        (body(tensor([1, 2]), outputs=["y"]), "An element of 'outputs'"),
        (body(tensor([1, 2], parameters=[])), "'parameters' of 'x'"),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        decode(data)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("size", "raw", "message"),
    [
        (8, b"1234", "4 bytes follow the JSON and the inputs' binary_data_size add up to 8"),
        (-1, b"", "'binary_data_size' of 'x' is -1"),
        ("8", b"12345678", "'binary_data_size' of 'x' is \"8\""),
        (7, b"1234567", "no whole number of FP32 values"),
        (4, b"1234", r"has 1 values, its shape \[2\] needs 2"),
        (8, b"12345678more", "12 bytes follow the JSON"),
    ],
)
def test_binary_sizes_that_do_not_fit_are_refused(size: Any, raw: bytes, message: str) -> None:
    header = body({"name": "x", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": size}})
    with pytest.raises(InputError, match=message):
        decode(header + raw, len(header))


@pytest.mark.parametrize("raw", [b"\x01", b"\x05\0\0\0abc", b"\x01\0\0\0\xff"])
def test_broken_binary_text_is_refused(raw: bytes) -> None:
    header = body(
        {"name": "x", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(raw)}}
    )
    with pytest.raises(InputError, match="'x'"):
        decode(header + raw, len(header))


def in_json(name: str, data: List[int]) -> Dict[str, Any]:
    return {"name": name, "datatype": "INT32", "shape": [2], "data": data}


def in_bytes(name: str, size: int, datatype: str = "INT32", shape: Any = (2,)) -> Dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((in_bytes("a", 8), in_json("b", [1, 2])), (in_json("a", [1, 2]), in_bytes("b", 8))),
        (
            (in_bytes("a", 5, "BYTES", [1]), in_bytes("b", 10, "BYTES", [2])),
            (in_bytes("a", 10, "BYTES", [1]), in_bytes("b", 5, "BYTES", [2])),
        ),
    ],
    ids=["one in JSON", "texts"],
)
def test_whose_bytes_are_whose_makes_another_question(one: Any, other: Any) -> None:
    first, second = (requests.decode(body(*inputs)) for inputs in (one, other))
    assert first.meta != second.meta
    assert requests.decode(body(*one)).meta == first.meta


def test_texts_keep_every_character() -> None:
    texts = ["abc\0", "", "ä\n", "1"]
    _asked, feeds = decode(body(tensor(texts, "BYTES", [4])))
    assert feeds["x"].tolist() == texts


def test_a_whole_number_may_be_as_large_as_any_other() -> None:
    _asked, feeds = decode(body(tensor([10**30, 1.5], "FP64")))
    assert feeds["x"].tolist() == [1e30, 1.5]


def test_what_belongs_to_the_request_is_read() -> None:
    parameters = {"binary_data_output": True, "priority": 2, "timeout": 1500, "of_our_own": "x"}
    outputs = [
        {"name": "a"},
        {"name": "b", "parameters": {"binary_data": False}},
        {"name": "c", "parameters": {"classification": 3}},
    ]
    asked, _feeds = decode(body(tensor([1, 2]), parameters=parameters, outputs=outputs))
    assert (asked.binary, asked.priority, asked.timeout_us) == (True, 2, 1500)
    assert asked.outputs == (Wish("a", True, 0), Wish("b", False, 0), Wish("c", True, 3))


def test_a_list_of_no_outputs_means_all_of_them() -> None:
    asked, _feeds = decode(body(tensor([1, 2]), outputs=[]))
    assert asked.outputs is None


@pytest.mark.parametrize("outputs", [{}, "", 0, False])
def test_what_is_no_list_of_outputs_is_refused(outputs: Any) -> None:
    with pytest.raises(InputError, match=r"'outputs' is .*, expected a list"):
        decode(body(tensor([1, 2]), outputs=outputs))


def test_the_same_json_before_other_bytes_is_another_question_of_the_same_kind() -> None:
    entry = {"name": "x", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}
    asked = requests.decode(body(entry))
    assert asked.reusable
    assert asked.meta == requests.decode(body(entry, id="7")).meta
    assert asked.meta != requests.decode(body(entry, outputs=[{"name": "y"}])).meta
    assert not requests.decode(body(tensor([1, 2]))).reusable
    values = [list(requests.decode(body(tensor(data))).values()) for data in ([1, 2], [1, 3], [1.0, 2])]
    assert values[0] != values[1]
    assert values[0] == values[2]


@pytest.mark.parametrize(
    ("datatype", "shape", "size", "understood"),
    [
        ("FP32", (-1, 3), 12, (1, 3)),
        ("FP32", (2, 3), 24, (2, 3)),
        ("FP16", (-1, -1, 2), 20, (1, 5, 2)),
        ("BYTES", (-1,), 9, (1,)),
    ],
)
def test_a_raw_request_is_one_tensor_of_the_shape_that_fits(
    datatype: str, shape: Any, size: int, understood: Any
) -> None:
    asked = requests.raw((TensorSpec("x", datatype, shape),), size)
    assert [(given.shape, given.size) for given in asked.inputs] == [(understood, size)]
    assert asked.binary


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([TensorSpec("x", "FP32", (1,)), TensorSpec("z", "FP32", (1,))], "has 2 inputs"),
        ([TensorSpec("x", "FP32", (-1, -1, -1))], "more than one free side"),
        ([TensorSpec("x", "BYTES", (2,))], "several values"),
    ],
)
def test_a_raw_request_that_says_too_little_is_refused(specs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        requests.raw(tuple(specs), 12)


def test_an_empty_raw_request_is_no_tensor_of_no_values() -> None:
    with pytest.raises(InputError, match="The body is empty"):
        requests.raw((TensorSpec("x", "FP32", (1, -1)),), 0)


WRITER = Writer("toy", "1.0.0", ["ant", "bee", "cow"], batched=True)
JSON = Asked(())


def written(outputs: Any, asked: Asked = JSON, writer: Writer = WRITER) -> Any:
    response = writer.write(outputs, asked)
    assert (response.content_type, dict(response.headers)) == ("application/json", {})
    return json.loads(response.body)


def test_an_answer_is_v2_json() -> None:
    outputs = {"t": np.asarray(["ü", b"b"], object), "y": np.asarray([[0.5, 1.0]], np.float32)}
    assert written(outputs, Asked((), identifier="7")) == {
        "model_name": "toy",
        "model_version": "1.0.0",
        "id": "7",
        "outputs": [
            {"name": "t", "datatype": "BYTES", "shape": [2], "data": ["ü", "b"]},
            {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 1.0]},
        ],
    }


def test_an_answer_in_bytes_has_them_behind_its_json() -> None:
    outputs = {
        "t": np.asarray(["ü", b"b"], object),
        "h": np.asarray([0.5], np.float16),
        "y": np.asarray([[1, 2]], np.int32),
    }
    wanted = (Wish("y", True, 0), Wish("t", True, 0), Wish("h", False, 0))
    for _turn in range(2):
        response = WRITER.write(outputs, Asked((), wanted))
        size = int(response.headers[JSON_SIZE])
        told = json.loads(response.body[:size])["outputs"]
        assert told[0] == {
            "name": "y",
            "datatype": "INT32",
            "shape": [1, 2],
            "parameters": {"binary_data_size": 8},
        }
        assert (told[1]["parameters"], told[2]["data"]) == ({"binary_data_size": 11}, [0.5])
        behind = np.asarray([1, 2], "<i4").tobytes() + b"\2\0\0\0\xc3\xbc\1\0\0\0b"
        assert response.body[size:] == behind


def test_answers_of_other_shapes_to_the_same_json_have_a_json_of_their_own() -> None:
    asked = Asked((), binary=True)
    for shape in ([1, 2], [3, 2], [1, 2]):
        response = WRITER.write({"y": np.zeros(shape, np.float32)}, asked)
        told = json.loads(response.body[: int(response.headers[JSON_SIZE])])
        assert told["outputs"][0]["shape"] == shape


def test_the_highest_classes_are_told_by_value_index_and_label() -> None:
    outputs = {"y": np.asarray([[0.1, 0.7, 0.2, 0.0], [9, 1, 2, 8]], np.float32)}
    asked = Asked((), (Wish("y", False, 2),))
    (told,) = written(outputs, asked)["outputs"]
    assert (told["datatype"], told["shape"]) == ("BYTES", [2, 2])
    assert told["data"] == ["0.700000:1:bee", "0.200000:2:cow", "9.000000:0:ant", "8.000000:3"]
    unlabelled = Writer("toy", "1.0.0", None, batched=False)
    (told,) = written({"y": np.asarray([[3, 5]], np.int64)}, Asked((), (Wish("y", False, 9),)), unlabelled)[
        "outputs"
    ]
    assert (told["shape"], told["data"]) == ([2], ["5:1", "3:0"])


@pytest.mark.parametrize("size", [0, 1, 9_999, 10_000, 10_001, 25_000])
def test_large_tensors_come_whole(size: int) -> None:
    array = np.arange(size, dtype=np.int64)
    assert written({"y": array})["outputs"][0]["data"] == list(range(size))


def test_outputs_are_chosen_and_ordered_by_the_client() -> None:
    outputs = {"a": np.zeros(1), "b": np.ones(1)}
    answer = written(outputs, Asked((), (Wish("b", False, 0),)))
    assert [output["name"] for output in answer["outputs"]] == ["b"]
    with pytest.raises(InputError, match="no output 'c', only a, b"):
        WRITER.check(Asked((), (Wish("c", False, 0),)), list(outputs))


def test_what_json_has_no_number_for_is_null() -> None:
    outputs = {"y": np.asarray([np.nan, np.inf, 1.0], np.float32)}
    assert written(outputs)["outputs"][0]["data"] == [None, None, 1.0]


def test_metadata_describes_the_models_own_tensors(model: Model) -> None:
    assert models.metadata(model) == {
        "name": "toy",
        "versions": ["1.0.0"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
    }


def test_the_configuration_leaves_out_the_batch_dimension_where_there_is_one(model: Model) -> None:
    alone = models.config(model, Batching(why="so"), True)
    assert (alone["max_batch_size"], alone["input"][0]["dims"]) == (0, [-1, 3])
    wishes = Serving(max_queue_delay_us=5, preferred_batch_sizes=(4, 8))
    batched = models.config(model, Batching(8, why="measured", wishes=wishes), False)
    assert (batched["max_batch_size"], batched["input"][0]["dims"]) == (8, [3])
    assert batched["input"][0]["data_type"] == "TYPE_FP32"
    assert batched["dynamic_batching"]["preferred_batch_size"] == [4, 8]
    parameters = {name: value["string_value"] for name, value in batched["parameters"].items()}
    assert parameters == {"batching": "measured", "provider": "cpu", "threads": "1"}


def test_all_parts_of_an_execution_are_counted_alike() -> None:
    """NVIDIA's perf_analyzer gives up where they are not."""
    counts = ModelCounts("1.0.0")
    counts.executed(requests=2, rows=8, queue_s=0.5, seconds=0.25)
    told = models.statistics("toy", counts)
    parts = ("compute_input", "compute_infer", "compute_output")
    assert [told["inference_stats"][part] for part in parts] == [
        {"count": 2, "ns": 0},
        {"count": 2, "ns": 500_000_000},
        {"count": 2, "ns": 0},
    ]
    (batch,) = told["batch_stats"]
    assert [batch[part]["count"] for part in parts] == [1, 1, 1]
