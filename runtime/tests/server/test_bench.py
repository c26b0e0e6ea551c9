"""`edgeai bench` asks a real server, and says what it was."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any, Iterator

import pytest
import toys
from serving_process import ServingProcess, serving
from toys import Toy

from edgeai_runtime.cli import main


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
    assert measured(capsys, "--url", server.url) == "The models served are: adder, reader; name one."
    assert "no model 'other' here" in measured(capsys, "--url", server.url, "--model", "other")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        assert "no server answers there" in measured(capsys, "--url", f"http://127.0.0.1:{port}")
    assert "no server answers there" in measured(capsys, "--uds", str(tmp_path / "nobody.sock"))
    assert "no address of a server" in measured(capsys, "--url", "127.0.0.1:8080")
