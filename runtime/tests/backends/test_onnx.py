from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import toys
from onnx import TensorProto
from onnxruntime.capi.onnxruntime_pybind11_state import EPFail

from edgeai_runtime.backends.base import TensorSpec
from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.onnx import OnnxBackend
from edgeai_runtime.backends.select import open_backend
from edgeai_runtime.errors import BackendError, InputError


def load(tmp_path: Path, graph: bytes) -> OnnxBackend:
    file = tmp_path / "model.onnx"
    file.write_bytes(graph)
    return OnnxBackend.load(file, Execution())


def test_a_model_says_what_it_takes_and_gives(tmp_path: Path) -> None:
    backend = load(tmp_path, toys.reader())
    assert backend.inputs == (TensorSpec("x", "FP32", (-1, 3, 8, -1)),)
    assert backend.outputs == (TensorSpec("probabilities", "FP32", (-1, -1, 4)),)


def test_a_run_takes_and_gives_tensors_by_name(tmp_path: Path) -> None:
    outputs = load(tmp_path, toys.add_one()).run({"x": np.zeros((2, 3), np.float32)})
    np.testing.assert_array_equal(outputs["y"], np.ones((2, 3)))


def test_text_goes_through_a_model(tmp_path: Path) -> None:
    backend = load(tmp_path, toys.echo(TensorProto.STRING, ["N"]))
    assert backend.inputs[0].datatype == "BYTES"
    assert backend.run({"x": np.asarray(["ü", "b"], object)})["y"].tolist() == ["ü", "b"]


def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"model\.onnx: onnxruntime [\d.]+ does not load") as caught:
        load(tmp_path, b"not a model")
    assert "\n" not in caught.value.message


def test_a_failing_run_says_why_without_the_engines_source_files(tmp_path: Path) -> None:
    backend = load(tmp_path, toys.reader(widest=4))
    with pytest.raises(BackendError, match="Add node") as caught:
        backend.run({"x": np.zeros((1, 3, 8, 9), np.float32)})
    assert ".cc" not in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) <= 300


def test_a_closed_model_does_not_run(tmp_path: Path) -> None:
    backend = load(tmp_path, toys.add_one())
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.run({"x": np.zeros((1, 3), np.float32)})


def test_the_first_provider_that_onnxruntime_was_built_with_runs_it(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(toys.add_one())
    backend = OnnxBackend.load(tmp_path / "model.onnx", Execution(1, ("cuda", "xnnpack", "cpu")))
    assert (backend.provider, backend.fell_back) == ("cpu", ())  # the wheel for processors has no other


def test_one_that_it_was_not_built_with_is_missed_where_no_other_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(toys.add_one())
    backend = OnnxBackend.load(tmp_path / "model.onnx", Execution(1, ("cuda",)))
    assert (backend.provider, backend.fell_back) == ("cpu", ("cuda",))


def test_a_provider_that_does_not_start_is_told_and_the_processor_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As onnxruntime-gpu says it where CUDA's libraries are missing; its session then has the processor alone.
    built_with = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: built_with)
    (tmp_path / "model.onnx").write_bytes(toys.add_one())
    backend = OnnxBackend.load(tmp_path / "model.onnx", Execution(1, ("cuda", "cpu")))
    assert (backend.provider, backend.fell_back) == ("cpu", ("cuda",))
    assert backend.run({"x": np.zeros((1, 3), np.float32)})["y"].tolist() == [[1.0] * 3]


def test_a_provider_that_fails_at_work_is_an_error_and_no_other_takes_over(tmp_path: Path) -> None:
    class Lost:
        def __init__(self, session: Any) -> None:
            self._session = session

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

        def run(self, *arguments: Any) -> Any:
            raise EPFail("the device was lost")

    (tmp_path / "model.onnx").write_bytes(toys.add_one())
    backend = OnnxBackend.load(tmp_path / "model.onnx", Execution())
    assert backend._session is not None
    backend._session._sess = Lost(backend._session._sess)
    with pytest.raises(BackendError, match="the device was lost"):
        backend.run({"x": np.zeros((1, 3), np.float32)})


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'tensorflow' is unknown"):
        open_backend("tensorflow", tmp_path / "model.onnx", Execution())


def test_the_engine_leaves_no_file_in_the_home_directory(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    model = tmp_path / "model.onnx"
    model.write_bytes(toys.add_one())
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    script = (
        "import sys; from pathlib import Path; from edgeai_runtime.backends.onnx import OnnxBackend;"
        "from edgeai_runtime.backends.execution import Execution;"
        "OnnxBackend.load(Path(sys.argv[1]), Execution())"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(model)],
        env=dict(environment, HOME=str(tmp_path / "home"), PYTHONDONTWRITEBYTECODE="1"),
        check=True,
        timeout=60,
    )
    assert list((tmp_path / "home").rglob("*")) == []
