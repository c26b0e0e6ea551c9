"""The serving process as its parent and its clients meet it."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import numpy as np
import pytest
import requests
import toys
from serving_process import BOUND_S, ServingProcess, serving
from toys import Toy

from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Serving

READER = Toy(toys.reader(widest=16), toys.READER, toys.LABELS, version="1.2.0")
ADDER = Toy(toys.add_one(), serving=Serving(cache="on"))
TENSOR = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
PNG = {"Content-Type": "image/png"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def process(tmp_path_factory: Any) -> Iterator[ServingProcess]:
    models = {"reader": READER, "adder": ADDER, "mill": Toy(toys.laborious()), "divider": Toy(toys.divide())}
    with serving(toys.write_generation(tmp_path_factory.mktemp("generation"), models, 7)) as started:
        started.wait_for("accepting")
        yield started


@pytest.fixture(scope="module")
def url(process: ServingProcess) -> str:
    return process.url


def add_one(url: str, **changes: Any) -> requests.Response:
    body = {"inputs": [TENSOR], **changes}
    return requests.post(f"{url}/v2/models/adder/infer", json=body, timeout=BOUND_S)


def counted(url: str, metric: str) -> int:
    """The value of a metric such as nv_inference_request_failure{model="adder",…}."""
    (value,) = re.findall(
        rf"^{re.escape(metric)} (\d+)$", requests.get(f"{url}/metrics", timeout=BOUND_S).text, re.M
    )
    return int(value)


def heartbeat_after(process: ServingProcess) -> Any:
    """A heartbeat whose figures include all that was answered so far."""
    since = len(process.events)
    process.wait_for("heartbeat", since)
    return process.wait_for("heartbeat", len(process.events))


def test_it_says_that_it_is_ready_before_it_says_that_it_accepts(process: ServingProcess) -> None:
    said = [event["event"] for event in process.events if event["event"] != "heartbeat"]
    assert said == ["ready", "accepting"]
    assert process.wait_for("ready")["warmup_ms"] > 0


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/reader/ready", {"name": "reader", "ready": True}),
        ("/v2/models/reader/versions/1.2.0/ready", {"name": "reader", "ready": True}),
    ],
)
def test_health_is_answered(url: str, path: str, answer: Any) -> None:
    response = requests.get(url + path, timeout=BOUND_S)
    assert (response.status_code, response.json()) == (200, answer)


def test_the_server_and_its_models_describe_themselves(url: str) -> None:
    assert "binary_tensor_data" in requests.get(f"{url}/v2", timeout=BOUND_S).json()["extensions"]
    models = requests.get(f"{url}/v2/models", timeout=BOUND_S).json()
    assert {"name": "reader", "version": "1.2.0"} in models
    for path in ("/v2/models/reader", "/v2/models/reader/versions/1.2.0"):
        assert requests.get(url + path, timeout=BOUND_S).json()["versions"] == ["1.2.0"]


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/", 404, "begins at /v2"),
        ("GET", "/v2/nothing", 404, "nothing at /v2/nothing"),
        ("GET", "/v2/models/other", 404, "served are: adder, divider, mill, reader"),
        ("GET", "/v2/models/reader/versions/9.9.9", 404, "version 1.2.0, not 9.9.9"),
        ("GET", "/v2/models/reader/unload", 404, "/ready, /infer, /config and /stats"),
        ("GET", "/v2/models/reader/infer", 405, "takes POST, not GET"),
        ("POST", "/v2/health/live", 405, "takes GET, not POST"),
    ],
)
def test_what_is_not_there_is_said(url: str, method: str, path: str, status: int, message: str) -> None:
    response = requests.request(method, url + path, timeout=BOUND_S)
    assert response.status_code == status
    assert message in response.json()["error"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_image_is_answered_with_its_text(url: str, kind: str) -> None:
    response = requests.post(
        f"{url}/v2/models/reader/versions/1.2.0/infer",
        data=toys.picture("CAB", kind),
        headers={"Content-Type": f"image/{kind.lower()}"},
        timeout=BOUND_S,
    )
    answer = response.json()
    assert (answer["model_name"], answer["model_version"]) == ("reader", "1.2.0")
    text, confidence = answer["outputs"]
    assert text == {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["CAB"]}
    assert confidence["datatype"] == "FP32"


def test_tensors_are_answered_with_tensors(url: str) -> None:
    answer = add_one(url, id="42").json()
    assert answer["id"] == "42"
    assert answer["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [2, 3, 4]}]


def test_binary_tensors_are_answered_too(url: str) -> None:
    array = np.asarray([[0.5, 1, 2]], "<f4")
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}}
    header = json.dumps({"inputs": [tensor], "outputs": [{"name": "y"}]}).encode()
    response = requests.post(
        f"{url}/v2/models/adder/infer",
        data=header + array.tobytes(),
        headers={"Inference-Header-Content-Length": str(len(header))},
        timeout=BOUND_S,
    )
    assert response.json()["outputs"][0]["data"] == [1.5, 2, 3]


def test_the_bytes_of_a_single_tensor_are_answered_with_bytes(url: str) -> None:
    body = np.asarray([[0.5, 1, 2]], np.float32).tobytes()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": "0"}
    answer = requests.post(f"{url}/v2/models/adder/infer", body, headers=headers, timeout=BOUND_S)
    size = int(answer.headers["Inference-Header-Content-Length"])
    assert np.frombuffer(answer.content[size:], np.float32).tolist() == [1.5, 2, 3]


def test_what_is_answered_in_passing_is_counted_and_a_mistake_among_it_told(tmp_path: Path) -> None:
    given = {"name": "x", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}}
    wanted = {"name": "y", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [given], "outputs": [wanted]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    quick = Toy(toys.add_one(), serving=Serving(cache="off"))
    with serving(toys.write_generation(tmp_path, {"adder": quick})) as started, requests.Session() as client:
        infer = f"{started.url}/v2/models/adder/infer"
        for number in range(5):
            body = head + np.asarray([[number, 1, 2]], np.float32).tobytes()
            answer = client.post(infer, body, headers=headers, timeout=BOUND_S)
            behind = answer.content[int(answer.headers["Inference-Header-Content-Length"]) :]
            assert np.frombuffer(behind, np.float32).tolist() == [number + 1, 2, 3]
        short = client.post(infer, head + bytes(11), headers=headers, timeout=BOUND_S)
        assert (short.status_code, short.json()["error"][:28]) == (400, "11 bytes follow the JSON and")
        claimed = client.post(
            infer, head + bytes(12), headers={**headers, "X-EdgeAI-Probe": "1"}, timeout=BOUND_S
        )
        assert claimed.status_code == 200
        started.aside.sendall(
            b"POST /v2/models/adder/infer HTTP/1.1\r\nX-EdgeAI-Probe: 1\r\n"
            b"Inference-Header-Content-Length: %d\r\nContent-Length: %d\r\n\r\n"
            % (len(head), len(head) + 12)
            + head
            + bytes(12)
        )
        assert started.aside.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        told = client.get(f"{started.url}/v2/models/adder/stats", timeout=BOUND_S).json()["model_stats"][0]
        health = client.get(f"{started.url}/v2/health", timeout=BOUND_S).json()
    counted = {name: told["inference_stats"][name]["count"] for name in ("success", "fail", "compute_infer")}
    assert counted == {"success": 6, "fail": 1, "compute_infer": 6}, "the keeper's own is not"
    assert (health["requests"], health["in_flight"], told["inference_count"]) == (7, 0, 6)


def test_answers_are_kept_unless_the_release_does_without(tmp_path: Path) -> None:
    graph = toys.add_one()
    models = {word: Toy(graph, serving=Serving(cache=word)) for word in ("on", "off")}
    with serving(toys.write_generation(tmp_path, models)) as started:
        for model in models:
            for _turn in range(4):  # what was asked twice is kept
                body = {"inputs": [TENSOR]}
                requests.post(f"{started.url}/v2/models/{model}/infer", json=body, timeout=BOUND_S)
        told = requests.get(f"{started.url}/v2/models/stats", timeout=BOUND_S).json()["model_stats"]
        hits = {one["name"]: one["inference_stats"]["cache_hit"]["count"] for one in told}
        kept = {
            name: requests.get(f"{started.url}/v2/models/{name}/config", timeout=BOUND_S).json()
            for name in models
        }
    assert hits == {"on": 2, "off": 0}
    enabled = {name: config["response_cache"]["enable"] for name, config in kept.items()}
    assert enabled == {"on": True, "off": False}


@pytest.mark.parametrize(
    ("model", "data", "headers", "status", "message"),
    [
        ("reader", b"no image", PNG, 400, "no PNG or JPEG"),
        ("adder", toys.picture("A"), PNG, 400, "takes no images"),
        ("adder", b"{", {}, 400, "not JSON"),
        ("adder", b"{}", {"Inference-Header-Content-Length": "x"}, 400, "expected a number"),
        ("adder", b"{}", {**JSON, "Inference-Header-Content-Length": "0"}, 400, "none of it is JSON"),
        ("adder", b"{}", {"Content-Type": "text/html"}, 415, "'text/html', expected image/png"),
        ("adder", b"{}", {"Content-Encoding": "br"}, 415, "compressed as 'br', expected gzip or deflate"),
    ],
    ids=[
        "no image",
        "image without pipeline",
        "no JSON",
        "header length",
        "no length",
        "content type",
        "encoding",
    ],
)
def test_a_wrong_request_is_the_clients_mistake(
    url: str, model: str, data: bytes, headers: Any, status: int, message: str
) -> None:
    version = {"adder": "1.0.0", "reader": "1.2.0"}[model]
    metric = f'nv_inference_request_failure{{model="{model}",version="{version}",reason="%s"}}'
    failed, refused = counted(url, metric % "BACKEND"), counted(url, metric % "OTHER")
    response = requests.post(f"{url}/v2/models/{model}/infer", data=data, headers=headers, timeout=BOUND_S)
    assert response.status_code == status
    assert message in response.json()["error"]
    assert counted(url, metric % "BACKEND") == failed
    assert counted(url, metric % "OTHER") == refused + 1


def test_a_failing_inference_is_an_error_of_the_model(process: ServingProcess, url: str) -> None:
    before = heartbeat_after(process)
    response = requests.post(
        f"{url}/v2/models/reader/infer", data=toys.picture("ABCABC"), headers=PNG, timeout=BOUND_S
    )
    assert response.status_code == 500
    assert response.json()["error"].startswith("reader 1.2.0 failed on the input x [1, 3, 8, 24] (")
    after = heartbeat_after(process)
    assert after["errors"] == before["errors"] + 1
    assert after["models"]["reader"]["errors"] == before["models"]["reader"]["errors"] + 1
    # And it goes on.
    again = requests.post(
        f"{url}/v2/models/reader/infer", data=toys.picture("A"), headers=PNG, timeout=BOUND_S
    )
    assert again.status_code == 200


def test_numbers_that_json_lacks_are_null(url: str) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [2], "data": [0, 2]}
    response = requests.post(f"{url}/v2/models/divider/infer", json={"inputs": [tensor]}, timeout=BOUND_S)
    assert response.json()["outputs"][0]["data"] == [None, 0.5]


def test_heartbeats_count_and_time_requests(process: ServingProcess, url: str) -> None:
    before = heartbeat_after(process)
    for _turn in range(3):
        assert add_one(url).ok
    after = heartbeat_after(process)
    assert after["requests"] == before["requests"] + 3
    assert after["models"]["adder"] == {
        "version": "1.0.0",
        "requests": before["models"]["adder"]["requests"] + 3,
        "errors": before["models"]["adder"]["errors"],
    }
    assert after["in_flight"] == 0
    assert 0 < after["p50_ms"] <= after["p99_ms"]
    assert 10 < after["rss_mb"] < 500
    assert after["cpu_percent"] >= 0


def test_metrics_are_prometheus_text(url: str) -> None:
    assert add_one(url).ok
    response = requests.get(f"{url}/metrics", timeout=BOUND_S)
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert counted(url, 'nv_inference_request_success{model="adder",version="1.0.0"}') >= 1
    assert "\nedgeai_generation 7\n" in response.text


def test_statistics_and_metrics_tell_the_same(url: str) -> None:
    for _turn in range(3):  # the third answer comes out of the cache
        tensor = {**TENSOR, "shape": [2, 3], "data": [0.5] * 6}
        assert add_one(url, inputs=[tensor]).ok
    response = requests.get(f"{url}/v2/models/adder/stats", timeout=BOUND_S)
    (told,) = response.json()["model_stats"]
    stats = told["inference_stats"]
    of = '{model="adder",version="1.0.0"}'
    assert counted(url, f"nv_inference_count{of}") == told["inference_count"]
    assert counted(url, f"nv_inference_exec_count{of}") == told["execution_count"]
    assert counted(url, f"nv_inference_request_success{of}") == stats["success"]["count"]
    assert counted(url, f"nv_cache_num_hits_per_model{of}") == stats["cache_hit"]["count"] > 0
    assert counted(url, f"nv_cache_num_misses_per_model{of}") == stats["cache_miss"]["count"] > 0
    assert stats["success"]["count"] == stats["compute_infer"]["count"] + stats["cache_hit"]["count"]
    assert counted(url, "edgeai_cache_bytes") > 0
    assert counted(url, "edgeai_cache_evictions") == 0


def test_others_are_answered_while_a_model_works(url: str) -> None:
    """A long inference of one model delays neither health nor another model."""
    done = threading.Event()

    def work() -> None:
        tensor = {"name": "rounds", "datatype": "INT64", "shape": [1], "data": [500]}
        response = requests.post(f"{url}/v2/models/mill/infer", json={"inputs": [tensor]}, timeout=BOUND_S)
        results.append((response.status_code, time.monotonic()))
        done.set()

    results: List[Tuple[int, float]] = []
    thread = threading.Thread(target=work)
    thread.start()
    meanwhile = 0
    while not done.is_set():
        assert requests.get(f"{url}/v2/health/live", timeout=BOUND_S).ok
        assert add_one(url).ok
        meanwhile += not done.is_set()
    thread.join()
    assert results[0][0] == 200
    assert meanwhile >= 5


def test_a_generation_without_models_is_live_and_ready(tmp_path: Path) -> None:
    with serving(toys.write_generation(tmp_path, {})) as started:
        assert requests.get(f"{started.url}/v2/health/ready", timeout=BOUND_S).ok
        assert requests.get(f"{started.url}/v2/models", timeout=BOUND_S).json() == []
        assert requests.get(f"{started.url}/metrics", timeout=BOUND_S).ok
        started.tell("drain")
        started.wait_for("drained")
        assert started.ended() == 0


def test_a_generation_that_cannot_be_served_is_told_to_the_parent(tmp_path: Path) -> None:
    toys.write_generation(tmp_path, {"reader": READER})
    (tmp_path / "models" / "reader" / "model.onnx").write_bytes(b"broken")
    with serving(tmp_path) as started:
        message = started.wait_for("failed")["message"]
        assert "model.onnx: onnxruntime" in message
        assert started.ended() == 1
        assert started.complaints().splitlines()[-1] == f"edgeai: error: {message}"


def test_an_inherited_socket_is_not_accepted_on_before_the_parent_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with serving(toys.write_generation(tmp_path, {}), listener=listener) as started:
            started.wait_for("ready", address=f"{address[0]}:{address[1]}")
            with socket.create_connection(address, timeout=BOUND_S) as client:
                client.sendall(b"GET /v2/health/ready HTTP/1.1\r\n\r\n")
                client.settimeout(0.3)
                with pytest.raises(socket.timeout):
                    client.recv(1)
                client.settimeout(BOUND_S)
                started.tell("accept")
                assert client.recv(12) == b"HTTP/1.1 200"
                started.wait_for("accepting")


@pytest.mark.parametrize("way", ["command", "SIGTERM", "SIGINT", "parent gone"])
@pytest.mark.parametrize("accepting", [True, False])
def test_it_drains_and_exits_when_told_so(tmp_path: Path, way: str, accepting: bool) -> None:
    directory = toys.write_generation(tmp_path, {"adder": ADDER})
    with socket.create_server(("127.0.0.1", 0)) as listener, serving(directory, listener=listener) as started:
        if accepting:
            started.tell("accept")
            started.wait_for("accepting")
            assert add_one(started.url).ok
        started.wait_for("ready")
        if way == "command":
            started.tell("drain")
        elif way == "parent gone":
            started.leave()
        else:
            started.process.send_signal(getattr(signal, way))
        if way != "parent gone":
            started.wait_for("drained")
        assert started.ended() == 0
        assert started.complaints() == ""


def test_its_parent_is_answered_before_any_client_and_not_counted(tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    directory = toys.write_generation(tmp_path, {"reader": READER}, 7)
    with listener, serving(directory, listener=listener) as process:
        process.wait_for("ready")
        connection = http.client.HTTPConnection("aside")
        connection.sock = process.aside
        headers = {"Content-Type": "image/png", "X-EdgeAI-Probe": "1"}
        for _turn in range(2):  # the connection is kept
            connection.request("POST", "/v2/models/reader/infer", toys.picture("CAB", "PNG"), headers)
            answer = json.loads(connection.getresponse().read())
            assert answer["outputs"][0]["data"] == ["CAB"]
        beat = heartbeat_after(process)
        assert (beat["requests"], beat["inferences"]) == (0, 0)


def test_a_parent_that_does_not_read_does_not_stop_it(tmp_path: Path) -> None:
    with serving(toys.write_generation(tmp_path, {"adder": ADDER})) as started:
        url = started.url
        started._control.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        for _turn in range(20):
            assert add_one(url).ok


def test_it_is_killed_in_the_middle_of_work_without_a_trace(tmp_path: Path) -> None:
    """The keeper may have to: nothing of it survives on the port."""
    with serving(toys.write_generation(tmp_path, {"adder": ADDER})) as started:
        url = started.url
        started.process.kill()
        started.ended()
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{url}/v2", timeout=BOUND_S)


def test_a_connection_reset_by_its_client_disturbs_nobody(url: str) -> None:
    host, port = url[len("http://") :].split(":")
    for sent in (b"", b"GET /v2 HT", b"GET /v2 HTTP/1.1\r\n\r\n"):
        client = socket.create_connection((host, int(port)))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(sent)
        client.close()
    assert add_one(url).ok


LOADED = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules))))
from edgeai_runtime.cli import main
sys.exit(main(["serve", "--generation", sys.argv[1], "--http", "127.0.0.1:0"]))
"""


@pytest.mark.parametrize(
    ("toy", "request_", "with_pillow"),
    [
        (ADDER, {"json": {"inputs": [TENSOR]}}, False),
        (READER, {"data": toys.picture("A"), "headers": PNG}, True),
    ],
    ids=["tensors", "images"],
)
def test_it_loads_only_what_it_needs(tmp_path: Path, toy: Toy, request_: Any, with_pillow: bool) -> None:
    directory = toys.write_generation(tmp_path, {"model": toy})
    command = [sys.executable, "-c", LOADED, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            url = child.stderr.readline().split()[-1]
            assert requests.post(f"{url}/v2/models/model/infer", timeout=BOUND_S, **request_).ok
        finally:
            child.terminate()
        loaded = json.loads(child.stdout.read())
    ours = {name.split(".")[1] for name in loaded if name.startswith("edgeai_runtime.")}
    assert "server" in ours
    others = {"convert", "generations", "gates", "trust", "bundle", "environments", "depot", "client"}
    assert not ours & others
    foreign = {name.split(".")[0] for name in loaded}
    assert not foreign & {"onnx", "tuf", "securesystemslib", "requests", "urllib3", "cryptography"}
    assert ("PIL" in foreign) == with_pillow


def test_what_an_earlier_start_measured_is_not_measured_again(tmp_path: Path) -> None:
    directory = toys.write_generation(tmp_path / "generation", {"adder": ADDER})
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["models"]["adder"]["fingerprint"] = "of its conversion"
    (directory / "manifest.json").write_text(json.dumps(manifest))
    kept = Paths(tmp_path).tuning
    kept.parent.mkdir(parents=True)
    sizes = []
    for written in (None, 7):  # nobody measures 7
        if written:
            found = json.loads(kept.read_text())
            (entry,) = found["measured"].values()
            entry["max_batch_size"] = written
            kept.write_text(json.dumps(found))
        with socket.create_server(("127.0.0.1", 0)) as listener, serving(
            directory, listener=listener, root=tmp_path
        ) as process:
            process.tell("accept")
            process.wait_for("accepting")
            url = f"http://{process.wait_for('ready')['address']}/v2/models/adder/config"
            sizes.append(requests.get(url, timeout=BOUND_S).json()["max_batch_size"])
    assert sizes[0] != 7
    assert sizes[1] == 7
