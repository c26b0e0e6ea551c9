"""A provider that does not start is seen wherever one looks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Iterator

import pytest
import toys
from by_hand import ByHand

# As onnxruntime-gpu says it on a machine without CUDA's libraries; its session then has the processor alone.
BUILT_WITH_CUDA = """
import onnxruntime
onnxruntime.get_available_providers = lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
"""
SAID = (
    "adder runs on cpu since cuda did not start; see that its driver and libraries are there, then restart "
    "the service."
)


@pytest.fixture
def fallen_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ByHand]:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(BUILT_WITH_CUDA)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("EDGEAI_SERVE_PROVIDERS", "cuda, cpu")
    (tmp_path / "adder.onnx").write_bytes(toys.add_one())
    by_hand = ByHand(tmp_path, "adder.onnx", "--uds", "here.sock")
    yield by_hand
    by_hand.close()


def test_a_fallback_is_an_alarm_a_metric_and_a_word_of_the_model(fallen_back: ByHand, tmp_path: Path) -> None:
    local = fallen_back.connect(tmp_path / "here.sock")

    def get(path: str) -> str:
        local.request("GET", path)
        return local.getresponse().read().decode()

    while SAID not in json.loads(get("/v2/health"))["alarms"]:  # it looks once when it begins
        pass
    metrics = get("/metrics")
    assert 'edgeai_alarm{alarm="fallback"} 1' in metrics
    assert 'edgeai_model_info{model="adder",version="1",provider="cpu"} 1' in metrics
    config = json.loads(get("/v2/models/adder/config"))
    assert config["parameters"]["provider"] == {"string_value": "cpu"}
    assert json.loads(get("/v2/health"))["models"]["adder"]["provider"] == "cpu"
    local.request("POST", "/v2/repository/models/adder/unload")
    assert local.getresponse().read() == b""
    local.close()
