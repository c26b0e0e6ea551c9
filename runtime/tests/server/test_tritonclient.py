"""NVIDIA's own client, unmodified, meets what it knows of Triton."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest

pytest.importorskip("tritonclient.http", reason="tritonclient is among the tests on Python 3.8 and 3.13")
import toys
import tritonclient.http
import tritonclient.http.aio
from by_hand import ByHand
from onnx import TensorProto
from serving_process import ServingProcess, serving
from toys import Toy
from tritonclient.utils import InferenceServerException

DATATYPES = {
    "BOOL": (TensorProto.BOOL, np.bool_),
    "UINT8": (TensorProto.UINT8, np.uint8),
    "INT8": (TensorProto.INT8, np.int8),
    "UINT16": (TensorProto.UINT16, np.uint16),
    "INT16": (TensorProto.INT16, np.int16),
    "UINT32": (TensorProto.UINT32, np.uint32),
    "INT32": (TensorProto.INT32, np.int32),
    "UINT64": (TensorProto.UINT64, np.uint64),
    "INT64": (TensorProto.INT64, np.int64),
    "FP16": (TensorProto.FLOAT16, np.float16),
    "FP32": (TensorProto.FLOAT, np.float32),
    "FP64": (TensorProto.DOUBLE, np.float64),
    "BYTES": (TensorProto.STRING, np.object_),
}
PICTURE = Toy(toys.reader(), toys.READER, toys.LABELS, version="2.0.0")


@pytest.fixture(scope="module")
def process(tmp_path_factory: Any) -> Iterator[ServingProcess]:
    models = {"adder": Toy(toys.add_one(), labels=["ant", "bee", "cow"]), "reader": PICTURE}
    for name, (datatype, _dtype) in DATATYPES.items():
        models[f"echo-{name.lower()}"] = Toy(toys.echo(datatype, ["N", 2]))
    with serving(toys.write_generation(tmp_path_factory.mktemp("generation"), models)) as started:
        started.wait_for("accepting")
        yield started


@pytest.fixture
def client(process: ServingProcess) -> Iterator[Any]:
    with tritonclient.http.InferenceServerClient(process.url.replace("http://", "")) as connected:
        yield connected


def given(name: str, array: Any, datatype: str = "FP32", binary: bool = True) -> Any:
    tensor = tritonclient.http.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def test_the_server_answers_what_a_client_asks_it(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("adder")
    assert client.is_model_ready("adder", "1.0.0")
    assert not client.is_model_ready("nobody")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata("adder")["inputs"][0]["name"] == "x"
    assert client.get_model_config("adder")["max_batch_size"] >= 0
    assert {"name": "adder", "version": "1.0.0", "state": "READY"} in client.get_model_repository_index()


@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "json"])
@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_datatype_comes_back_as_it_went(client: Any, datatype: str, binary: bool) -> None:
    if datatype == "FP16" and not binary:
        pytest.skip("the client sends no FP16 as JSON")
    dtype = DATATYPES[datatype][1]
    if datatype == "BYTES":
        array = np.asarray([["a", "ü"], ["", "long" * 100]], dtype=dtype)
    else:
        array = np.asarray([[0, 1], [1, 0], [1, 1]]).astype(dtype)
    outputs = [tritonclient.http.InferRequestedOutput("y", binary_data=binary)]
    result = client.infer(f"echo-{datatype.lower()}", [given("x", array, datatype, binary)], outputs=outputs)
    found = result.as_numpy("y")
    if datatype == "BYTES":
        texts = [value.decode() if isinstance(value, bytes) else value for value in found.flat]
        assert texts == list(array.flat)
    else:
        assert found.dtype == array.dtype
        assert found.tolist() == array.tolist()


@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
def test_what_belongs_to_a_request_is_honoured(client: Any, packed: Any) -> None:
    rows = np.arange(3000, dtype=np.float32).reshape(1000, 3)
    result = client.infer(
        "adder",
        [given("x", rows)],
        model_version="1.0.0",
        request_id="of mine",
        priority=1,
        timeout=60_000_000,
        request_compression_algorithm=packed,
        response_compression_algorithm=packed,
        parameters={"of_our_own": "yes"},
    )
    assert result.get_response()["id"] == "of mine"
    assert result.as_numpy("y").tolist() == (rows + 1).tolist()


def test_classes_are_told_with_their_labels(client: Any) -> None:
    wanted = [tritonclient.http.InferRequestedOutput("y", class_count=2)]
    result = client.infer("adder", [given("x", np.asarray([[1, 5, 3]], np.float32))], outputs=wanted)
    assert [value.decode() for value in result.as_numpy("y").flat] == ["6.000000:1:bee", "4.000000:2:cow"]


def test_a_picture_is_one_element_of_bytes(client: Any) -> None:
    picture = np.asarray([toys.picture("CAB")], dtype=np.object_)
    result = client.infer("reader", [given("image", picture, "BYTES")])
    assert result.as_numpy("text").tolist() == [b"CAB"]


def test_a_model_counts_what_it_did(client: Any) -> None:
    def stats() -> Any:
        return client.get_inference_statistics("echo-fp64")["model_stats"][0]

    before = stats()
    for value in range(3):
        client.infer("echo-fp64", [given("x", np.full((4, 2), value + 0.5), "FP64")])
    after = stats()
    assert after["inference_count"] - before["inference_count"] == 12
    assert after["inference_stats"]["success"]["count"] - before["inference_stats"]["success"]["count"] == 3
    assert after["execution_count"] - before["execution_count"] == 3
    assert len(client.get_inference_statistics()["model_stats"]) == len(DATATYPES) + 2


def test_a_mistake_is_told_in_its_words(client: Any) -> None:
    with pytest.raises(tritonclient.http.InferenceServerException) as caught:
        client.infer("adder", [given("z", np.zeros((1, 3), np.float32))])
    assert "'x' is missing" in str(caught.value) or "'z' is unknown" in str(caught.value)


def test_many_requests_at_once_each_get_their_answer(process: ServingProcess) -> None:
    async def ask() -> None:
        async with tritonclient.http.aio.InferenceServerClient(
            process.url.replace("http://", ""), conn_limit=20
        ) as client:
            rows = [np.full((1, 3), number, np.float32) for number in range(100)]
            results = await asyncio.gather(*(client.infer("adder", [given("x", row)]) for row in rows))
            assert [result.as_numpy("y")[0, 0] for result in results] == [number + 1 for number in range(100)]

    asyncio.run(ask())


def test_models_of_bare_files_are_loaded_and_unloaded(tmp_path: Path) -> None:
    token = "0123456789abcdef-of-the-line"
    (tmp_path / "tokens").write_text(token)
    (tmp_path / "tokens").chmod(0o600)
    (tmp_path / "settings.toml").write_text('schema = 1\n[serve]\ntokens = "tokens"\n')
    (tmp_path / "adder.onnx").write_bytes(toys.add_one())
    by_hand = ByHand(tmp_path, "adder.onnx", "--config", "settings.toml")
    bearer = {"Authorization": f"Bearer {token}"}
    try:
        with tritonclient.http.InferenceServerClient(f"127.0.0.1:{by_hand.port}") as client:
            client.unload_model("adder", headers=bearer)
            assert not client.is_model_ready("adder", headers=bearer)
            client.load_model("adder", headers=bearer)
            assert client.is_model_ready("adder", headers=bearer)
            inputs = [given("x", np.ones((1, 3), np.float32))]
            answer = client.infer("adder", inputs, headers=bearer).as_numpy("y")
            assert answer.tolist() == [[2.0] * 3]
            with pytest.raises(InferenceServerException, match="401"):
                client.unload_model("adder")
    finally:
        by_hand.close()
