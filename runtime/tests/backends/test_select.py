from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import toys

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.select import open_backend, version_of
from edgeai_runtime.errors import BackendError

_LOADED = """
import sys
from pathlib import Path
from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.select import open_backend
open_backend("onnxruntime", Path(sys.argv[1]), Execution())
print(sorted(name for name in sys.modules if "tensorrt" in name or "cuda" in name.split(".")[-1]))
"""


@pytest.fixture
def without_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    for name in [name for name in sys.modules if name.startswith("edgeai_runtime.backends.tensorrt")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("without_tensorrt")
def test_an_engine_that_is_not_installed_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"TensorRT's Python package cannot be loaded \(.*JetPack"):
        open_backend("tensorrt", tmp_path / "model.engine", Execution())
    with pytest.raises(BackendError, match="TensorRT's Python package cannot be loaded"):
        version_of("tensorrt")


def test_a_process_loads_only_the_engine_that_it_uses(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(toys.add_one())
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, str(tmp_path / "model.onnx")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
