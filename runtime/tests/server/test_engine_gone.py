"""Where an engine does not load, since the system under it changed, its ONNX model serves, and says so."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import requests
import toys
from serving_process import BOUND_S, serving
from toys import Toy

from edgeai_runtime.errors import BackendError, DamagedError
from edgeai_runtime.serving.repository import load_generation

TENSOR = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}


def generation(directory: Path, stand_in: bool) -> Path:
    """One whose model is an engine, which no machine without TensorRT, nor another GPU, loads."""
    toys.write_generation(directory, {"adder": Toy(toys.add_one())})
    manifest = json.loads((directory / "manifest.json").read_text())
    entry, models = manifest["models"]["adder"], directory / "models/adder"
    (models / "model.engine").write_bytes(b"built for another GPU")
    entry["engine"] = "tensorrt"
    entry["artifact"] = hashlib.sha256(b"built for another GPU").hexdigest()
    if stand_in:
        entry["instead"] = hashlib.sha256(toys.add_one()).hexdigest()
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory


def test_its_onnx_model_answers_and_an_alarm_stands(tmp_path: Path) -> None:
    with serving(generation(tmp_path, stand_in=True)) as started:
        answer = requests.post(
            f"{started.url}/v2/models/adder/infer", json={"inputs": [TENSOR]}, timeout=BOUND_S
        )
        assert answer.json()["outputs"][0]["data"] == [2, 3, 4]
        said = "adder runs on cpu since tensorrt did not start"
        while not any(
            said in one for one in requests.get(f"{started.url}/v2/health", timeout=BOUND_S).json()["alarms"]
        ):
            pass  # it looks once when it begins
        config = requests.get(f"{started.url}/v2/models/adder/config", timeout=BOUND_S).json()
        assert config["backend"] == "onnxruntime"


def test_without_one_it_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"(?i)tensorrt"):
        load_generation(generation(tmp_path, stand_in=False))


def test_a_stand_in_that_is_not_what_was_measured_does_not_serve(tmp_path: Path) -> None:
    directory = generation(tmp_path, stand_in=True)
    (directory / "models/adder/model.onnx").write_bytes(toys.divide())
    with pytest.raises(DamagedError, match=r"model\.onnx: damaged, it is not what was measured here"):
        load_generation(directory)
