"""`edgeai serve model.onnx`: bare files, by hand, without a keeper or a store."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest
import toys
from by_hand import ByHand
from onnx import TensorProto, helper
from serving_process import BOUND_S, serving
from toys import Toy

from edgeai_runtime.cli import main

ADD = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
NEGATE = toys.single(helper.make_node("Neg", ["x"], ["y"]), TensorProto.FLOAT, ["N", 3])
SLOW = {"inputs": [{"name": "rounds", "datatype": "INT64", "shape": [1], "data": [300]}]}


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> Tuple[int, Any]:
    connection.request(method, path, None if body is None else json.dumps(body))
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if text else None


def outputs(connection: http.client.HTTPConnection, model: str = "adder") -> Any:
    status, answer = ask(connection, "POST", f"/v2/models/{model}/infer", ADD)
    assert status == 200, answer
    return answer["outputs"][0]["data"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "adder.onnx").write_bytes(toys.add_one())
    (tmp_path / "mill.onnx").write_bytes(toys.laborious())
    return tmp_path


@pytest.fixture
def by_hand(files: Path) -> Iterator[ByHand]:
    started = ByHand(files, "adder.onnx", "mill.onnx", "--uds", "here.sock")
    yield started
    started.close()


@pytest.fixture
def local(by_hand: ByHand, files: Path) -> Iterator[http.client.HTTPConnection]:
    connection = by_hand.connect(files / "here.sock")
    yield connection
    connection.close()


@pytest.fixture
def remote(by_hand: ByHand) -> Iterator[http.client.HTTPConnection]:
    connection = by_hand.connect()
    yield connection
    connection.close()


def states(local: http.client.HTTPConnection, **asked: bool) -> Dict[str, str]:
    status, index = ask(local, "POST", "/v2/repository/index", asked)
    assert status == 200
    return {model["name"]: model["state"] for model in index}


def test_files_are_models_by_their_names_at_both_addresses(
    by_hand: ByHand, local: http.client.HTTPConnection, remote: http.client.HTTPConnection
) -> None:
    assert by_hand.said == f"edgeai serves adder, mill on here.sock and http://127.0.0.1:{by_hand.port}"
    for connection in (local, remote):
        assert outputs(connection) == [2, 3, 4]
        assert ask(connection, "GET", "/v2/models/adder/versions/1/ready")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_answers_what_it_was_asked(by_hand: ByHand, files: Path, number: int) -> None:
    answered: List[int] = []

    def work() -> None:
        connection = by_hand.connect()
        answered.append(ask(connection, "POST", "/v2/models/mill/infer", SLOW)[0])
        connection.close()

    connection = by_hand.connect()
    asking = threading.Thread(target=work)
    asking.start()
    while b"edgeai_requests_in_flight 1\n" not in _metrics(connection):
        pass
    by_hand.process.send_signal(number)
    asking.join(BOUND_S)
    connection.close()
    assert answered == [200]
    assert by_hand.process.communicate(timeout=BOUND_S)[1] == ""
    assert by_hand.process.returncode == 0
    assert not (files / "here.sock").exists()


def _metrics(connection: http.client.HTTPConnection) -> bytes:
    connection.request("GET", "/metrics")
    return connection.getresponse().read()


def test_a_socket_that_a_killed_one_left_is_taken_over(files: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(files / "left.sock"))
    started = ByHand(files, "adder.onnx", "--uds", "left.sock")
    try:
        connection = started.connect(files / "left.sock")
        assert outputs(connection) == [2, 3, 4]
        connection.close()
    finally:
        started.close()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name ONNX files, as in `edgeai serve model.onnx`"),
        (["gone.onnx"], "gone.onnx: there is no such file"),
        (["text.onnx"], "text.onnx: onnxruntime"),
        (["adder.onnx", "other/adder.onnx"], "would both be the model 'adder'; rename one of the files"),
        (["adder.onnx", "./adder.onnx"], "adder.onnx: this file was named twice; name each once."),
        (
            ["adder.onnx", "--uds", "text.onnx"],
            "text.onnx: cannot serve there (something else has that name)",
        ),
        (
            ["adder.onnx", "--uds", "a" * 100],
            "a: cannot serve there (its name is too long for a Unix socket)",
        ),
        (
            ["adder.onnx", "--uds", "a" * 300],
            "a: cannot serve there (File name too long); choose another path",
        ),
        (["adder.onnx", "--uds", "gone/a.sock"], "cannot serve there (No such file or directory); choose"),
        (["adder.onnx", "--generation", "."], "leave files, --uds and --config away"),
        (["adder.onnx", "--http", "8080"], "'8080' is no address to serve on"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(
    files: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: List[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(files)
    (files / "text.onnx").write_text("no model")
    (files / "other").mkdir()
    (files / "other" / "adder.onnx").write_bytes(toys.add_one())
    assert main(["serve", "--http", "127.0.0.1:0", *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("edgeai: error: ")
    assert sentence in line


def test_an_address_that_is_taken_is_said(
    by_hand: ByHand, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(files / "adder.onnx"), "--http", f"127.0.0.1:{by_hand.port}"]) == 1
    assert "cannot serve there (Address already in use); choose another" in capsys.readouterr().err
    assert main(["serve", str(files / "adder.onnx"), "--uds", str(files / "here.sock")]) == 1
    assert "here.sock: cannot serve there (somebody serves there)" in capsys.readouterr().err


def test_a_model_is_unloaded_and_loaded_again(
    local: http.client.HTTPConnection, remote: http.client.HTTPConnection
) -> None:
    assert outputs(remote) == [2, 3, 4]
    assert ask(local, "POST", "/v2/repository/models/adder/unload") == (200, None)
    assert states(local) == {"mill": "READY", "adder": "UNAVAILABLE"}
    assert states(local, ready=True) == {"mill": "READY"}
    status, answer = ask(remote, "POST", "/v2/models/adder/infer", ADD)
    assert (status, answer["error"]) == (404, "There is no model 'adder' here; served are: mill.")
    assert ask(local, "POST", "/v2/repository/models/adder/load") == (200, None)
    assert outputs(remote) == [2, 3, 4]
    # What it did before it was unloaded was done all the same.
    assert b'nv_inference_request_success{model="adder",version="1"} 2\n' in _metrics(remote)


def test_what_an_earlier_start_measured_is_not_measured_again(files: Path) -> None:
    def starts() -> Any:
        by_hand = ByHand(files, "adder.onnx")
        connection = by_hand.connect()
        config = ask(connection, "GET", "/v2/models/adder/config")[1]
        connection.close()
        by_hand.close()
        return config["max_batch_size"], config["parameters"]["threads"]["string_value"]

    starts()
    kept = files / "cache/edgeai/tuning.json"
    told = json.loads(kept.read_text())
    ((_fingerprint, entry),) = told["measured"].items()
    entry["max_batch_size"], entry["threads"] = 7, 2
    kept.write_text(json.dumps(told))
    assert starts() == (7, "2")
    (files / "adder.onnx").write_bytes(NEGATE)  # another model
    starts()
    assert len(json.loads(kept.read_text())["measured"]) == 2


def test_a_file_that_is_another_now_answers_from_its_loading_on(
    local: http.client.HTTPConnection, remote: http.client.HTTPConnection, files: Path
) -> None:
    for _turn in range(2):  # the second is remembered, head and answer
        assert outputs(remote) == [2, 3, 4]
    (files / "adder.onnx").write_bytes(NEGATE)
    assert outputs(remote) == [2, 3, 4]
    assert ask(local, "POST", "/v2/repository/models/adder/load") == (200, None)
    assert outputs(remote) == [-1, -2, -3]


def test_a_file_that_is_broken_now_changes_nothing(
    local: http.client.HTTPConnection, remote: http.client.HTTPConnection, files: Path
) -> None:
    (files / "adder.onnx").write_bytes(b"broken")
    status, answer = ask(local, "POST", "/v2/repository/models/adder/load")
    assert status == 400
    assert "adder.onnx: onnxruntime" in answer["error"]
    assert outputs(remote) == [2, 3, 4]
    assert ask(local, "POST", "/v2/repository/models/adder/unload") == (200, None)
    assert ask(local, "POST", "/v2/repository/models/adder/load")[0] == 400
    away = [model for model in ask(local, "POST", "/v2/repository/index")[1] if model["name"] == "adder"]
    assert away[0]["reason"] == answer["error"]


def test_a_file_for_which_memory_is_short_is_refused_with_the_figures_and_changes_nothing(
    local: http.client.HTTPConnection, remote: http.client.HTTPConnection, files: Path
) -> None:
    (files / "adder.onnx").unlink()
    with (files / "adder.onnx").open("wb") as file:
        file.truncate(1 << 42)  # 4 TiB, none of it written
    status, answer = ask(local, "POST", "/v2/repository/models/adder/load")
    assert status == 400
    assert re.match(r"adder needs 4194304 MiB of memory and \d+ are free; serve fewer", answer["error"])
    assert outputs(remote) == [2, 3, 4]


def test_a_model_is_unloaded_once_it_answered_what_it_was_asked(
    by_hand: ByHand, local: http.client.HTTPConnection
) -> None:
    order: List[str] = []

    def work() -> None:
        connection = by_hand.connect()
        assert ask(connection, "POST", "/v2/models/mill/infer", SLOW)[0] == 200
        order.append("answered")
        connection.close()

    asking = threading.Thread(target=work)
    asking.start()
    while b"edgeai_requests_in_flight 1\n" not in _metrics(local):
        pass
    assert ask(local, "POST", "/v2/repository/models/mill/unload") == (200, None)
    order.append("unloaded")
    asking.join(BOUND_S)
    assert sorted(order) == ["answered", "unloaded"]
    assert states(local) == {"adder": "READY", "mill": "UNAVAILABLE"}


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("models/other/load", None, 404, "No file for a model 'other' was named"),
        ("models/adder/reload", None, 404, "a model there has /load and /unload"),
        ("models/adder/load", {"parameters": {"file:1/model.onnx": "AAAA"}}, 400, "send no parameters"),
        ("models/adder/load", [1], 400, "no JSON object"),
        ("models/adder/unload", {"parameters": {"unload_dependents": False}}, 200, ""),
        ("index", [1], 400, "no JSON object"),
    ],
)
def test_what_may_be_asked_of_the_repository(
    local: http.client.HTTPConnection, path: str, body: Any, status: int, sentence: str
) -> None:
    found, answer = ask(local, "POST", f"/v2/repository/{path}", body)
    assert found == status
    assert sentence in (answer or {"error": ""})["error"]


def test_over_the_network_nothing_is_loaded_or_unloaded(remote: http.client.HTTPConnection) -> None:
    for change in ("load", "unload"):
        status, answer = ask(remote, "POST", f"/v2/repository/models/adder/{change}")
        assert status == 403
        assert "ask through its Unix socket, or with a token" in answer["error"]
    assert outputs(remote) == [2, 3, 4]


def test_a_generation_is_not_changed(tmp_path: Path) -> None:
    with serving(toys.write_generation(tmp_path, {"adder": Toy(toys.add_one())})) as process:
        process.wait_for("ready")
        connection = http.client.HTTPConnection("aside")
        connection.sock = process.aside
        assert states(connection) == {"adder": "READY"}
        status, answer = ask(connection, "POST", "/v2/repository/models/adder/unload")
        assert status == 400
        assert "switched by the keeper, all together" in answer["error"]
