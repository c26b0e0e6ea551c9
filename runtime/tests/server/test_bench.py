"""`edgeai bench` asks a real server, and says what it was."""

from __future__ import annotations

import http.server
import json
import resource
import socket
import threading
from pathlib import Path
from typing import Any, Iterator

import pytest
import requests
import toys
from by_hand import ByHand
from edgeai_keeper.listeners import listen_unix
from serving_process import BOUND_S, ServingProcess, serving
from toys import Toy

from edgeai_runtime.bench import bench
from edgeai_runtime.cli import main
from edgeai_runtime.client import Client
from edgeai_runtime.errors import TransferError
from edgeai_runtime.paths import Paths

DEVICE = """schema = 1
name = "pi"
class = "raspberry_pi"
line = "line-1"
[depot]
url = "http://127.0.0.1:9"
[serve]
connections = 1
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: Any) -> Iterator[ServingProcess]:
    models = {
        "adder": Toy(toys.add_one()),
        "reader": Toy(toys.reader(), toys.READER, toys.LABELS),
    }
    with serving(toys.write_generation(tmp_path_factory.mktemp("generation"), models)) as process:
        yield process


def measured(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    status = main(["--json", "bench", "--seconds", "0.2", *words])
    told = json.loads(capsys.readouterr().out)
    return told if status == 0 else told["error"]["message"]


def test_each_concurrency_is_a_row_and_no_answer_comes_out_of_the_cache(
    server: ServingProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    told = measured(capsys, "--url", server.url, "--model", "adder", "--concurrency", "1,3")
    assert told["model"] == "adder"
    assert [row["concurrency"] for row in told["measured"]] == [1, 3]
    for row in told["measured"]:
        assert (row["failed"], row["cached"]) == (0, 0)
        assert row["requests"] >= row["concurrency"]
        assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"]


def test_a_picture_is_the_same_each_time_which_is_told(
    server: ServingProcess, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(toys.picture("CAB"))
    told = measured(capsys, "--url", server.url, "--model", "reader", "--image", str(picture))
    for row in told["measured"]:
        assert row["failed"] == 0
        assert row["cached"] >= row["requests"] - row["concurrency"] - 1


def test_what_cannot_be_measured_is_one_sentence(
    server: ServingProcess, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "serves adder, reader; name one with --model." in measured(capsys, "--url", server.url)
    assert "no model 'other' here" in measured(capsys, "--url", server.url, "--model", "other")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        assert "nothing answers there" in measured(capsys, "--url", f"http://127.0.0.1:{port}")
    assert "nothing answers there" in measured(capsys, "--uds", str(tmp_path / "nobody.sock"))
    assert "no address of a server" in measured(capsys, "--url", "127.0.0.1:8080")


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "-1", "1e30", "soon"])
def test_a_time_that_is_none_is_wrong_usage(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", f"--seconds={seconds}"])
    assert f"'{seconds}' is no number from 0.001 to" in capsys.readouterr().err


def test_however_short_the_time_each_client_asks_once(
    server: ServingProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--url", server.url, "--model", "adder", "--concurrency", "2", "--seconds", "0.001"]
    (row,) = measured(capsys, *words)["measured"]
    assert row["requests"] >= 2
    assert row["p99_ms"] > 0


def test_where_nothing_succeeds_it_says_why_and_fails(
    server: ServingProcess, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(toys.picture("CAB"))
    said = measured(capsys, "--url", server.url, "--model", "adder", "--image", str(picture))
    assert said.startswith("adder: none of ")
    assert said.endswith(
        " requests succeeded: adder 1.0.0 takes no images, its release has no pipeline; send tensors."
    )


def test_of_what_fails_in_part_the_reason_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mill.onnx").write_bytes(toys.laborious())
    (tmp_path / "settings.toml").write_text("schema = 1\n[models.mill]\nqueue_size = 1\n")
    started = ByHand(tmp_path, "mill.onnx", "--config", "settings.toml")
    try:
        told = measured(capsys, "--url", f"http://127.0.0.1:{started.port}", "--concurrency", "1,16")
    finally:
        started.close()
    alone, crowd = told["measured"]
    assert alone["failed"] == 0
    assert 0 < crowd["failed"] < crowd["requests"]
    (sentence,) = told["actions"]
    assert sentence.startswith(
        f"{crowd['failed']} of {crowd['requests']} requests of 16 clients failed: mill: "
    )
    assert sentence.endswith(" requests wait already; send it again later.")


def test_a_model_has_any_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "große Größe%2F?.onnx").write_bytes(toys.add_one())
    started = ByHand(tmp_path, "große Größe%2F?.onnx")
    try:
        told = measured(capsys, "--url", f"http://127.0.0.1:{started.port}", "--concurrency", "1")
        assert told["model"] == "große Größe%2F?"
        assert (told["measured"][0]["failed"], told["actions"]) == (0, [])
    finally:
        started.close()


def test_a_crowd_is_no_lost_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = Paths(tmp_path)
    paths.etc.mkdir(parents=True)
    paths.device_toml.write_text(DEVICE)
    at = tmp_path / "http.sock"
    generation = toys.write_generation(tmp_path / "generation", {"adder": Toy(toys.add_one())})
    with listen_unix(at, 0o666, 1) as listener, serving(
        generation, listener=listener, root=tmp_path
    ) as process:
        process.wait_for("ready")
        process.tell("accept")
        said = measured(capsys, "--uds", str(at), "--concurrency", "16")
    assert said == (
        "16 clients at once are more than the server takes in (Resource temporarily unavailable); "
        "ask with fewer, or raise its serve.connections."
    )


def test_who_is_sent_away_by_a_server_that_answers_others_belongs_to_a_crowd(
    server: ServingProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    class Doorman(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = requests.get(server.url + self.path, timeout=BOUND_S)
            self.send_response(told.status_code)
            self.end_headers()
            self.wfile.write(told.content)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))  # and hangs up

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Doorman) as door:
        thread = threading.Thread(target=door.serve_forever)
        thread.start()
        words = ["--url", f"http://127.0.0.1:{door.server_port}", "--model", "adder", "--concurrency"]
        several, one = measured(capsys, *words, "2"), measured(capsys, *words, "1")
        door.shutdown()
        thread.join()
    assert several.startswith("2 clients at once are more than the server takes in (")
    assert one.startswith("the server was lost (")


def test_a_server_that_ends_meanwhile_was_lost(tmp_path: Path) -> None:
    (tmp_path / "adder.onnx").write_bytes(toys.add_one())
    started = ByHand(tmp_path, "adder.onnx")
    url = f"http://127.0.0.1:{started.port}"

    def kill() -> None:
        while 'nv_inference_request_success{model="adder",version="1"} 0\n' in _metrics(url):
            pass
        started.process.kill()

    killer = threading.Thread(target=kill)
    try:
        with Client(url) as client, pytest.raises(TransferError, match=r"^the server was lost \(.+\); look"):
            bench(client, None, [2], BOUND_S, progress=lambda sentence: killer.start())
        killer.join()
    finally:
        started.close()


def _metrics(url: str) -> str:
    return requests.get(f"{url}/metrics", timeout=BOUND_S).text


def test_more_clients_than_this_machine_opens_connections_for_is_said(
    server: ServingProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = len(list(Path("/proc/self/fd").iterdir()))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 20, before[1]))
        said = measured(capsys, "--url", server.url, "--model", "adder", "--concurrency", "64")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert said == (
        "64 clients at once are more than this machine has room for (Too many open files); ask with fewer."
    )
