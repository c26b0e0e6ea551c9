"""`edgeai status` of a server that was started by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator

import pytest
import requests
import toys
from by_hand import ByHand
from serving_process import BOUND_S

from edgeai_runtime.cli import main

TOO_WIDE = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3, 8, 17], "data": [0.5] * 408}]}


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[ByHand]:
    (tmp_path / "reader.onnx").write_bytes(toys.reader(widest=16))
    started = ByHand(tmp_path, "reader.onnx", "--uds", "here.sock")
    yield started
    started.close()


def status(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["--json", "status", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_is_asked_at_either_address(
    by_hand: ByHand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, uds = f"http://127.0.0.1:{by_hand.port}", str(tmp_path / "here.sock")
    for words in (["--url", url], ["--uds", uds]):
        told = status(capsys, *words)
        assert (told["server"], told["condition"], told["models"]) == (words[1], "good", {"reader": "1"})
        (row,) = told["served"]
        assert (row["model"], row["version"], row["provider"], row["requests"]) == ("reader", "1", "cpu", 0)
        assert None not in told["readings"].values()
    assert main(["status", "--url", url]) == 0
    assert "condition: good\n" in capsys.readouterr().out


def test_a_server_whose_requests_fail_says_so_and_why(
    by_hand: ByHand, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{by_hand.port}"
    # Before its first look the watch knows of no requests that it could take a share of.
    while not status(capsys, "--url", url)["readings"]:
        pass
    for _request in range(20):
        answer = requests.post(f"{url}/v2/models/reader/infer", json=TOO_WIDE, timeout=BOUND_S)
        assert answer.status_code == 500
    told = status(capsys, "--url", url)
    while told["condition"] == "good":
        told = status(capsys, "--url", url)
    assert told["condition"] == "failing"
    assert told["condition_reason"] == "100 % of the last minute's requests failed"
    assert told["recent_errors"][0]["count"] == 20


def test_without_an_address_it_is_of_a_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "status"]) == 1
    said = capsys.readouterr().err
    assert "device.toml: this device is not provisioned" in said
    assert said.endswith("or name a server that was started by hand with --url or --uds.\n")


def test_of_a_server_that_is_not_there_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = tmp_path / "nobody.sock"
    assert main(["status", "--uds", str(at)]) == 1
    assert capsys.readouterr().err == (
        f"edgeai: error: {at}: nothing answers there; check the address and the device.\n"
    )
