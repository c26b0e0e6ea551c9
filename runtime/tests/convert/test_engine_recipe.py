"""A recipe may have TensorRT run the model; an ONNX model stands in where the engine does not load.

TensorRT needs a GPU. Here the converting process has one that builds an engine by copying the ONNX file
behind a mark, and runs it by onnxruntime; what does it for real is held to the real API elsewhere.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest
from toy import DEVICE, toy_release

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.onnx import OnnxBackend
from edgeai_runtime.convert.convert import convert_release
from edgeai_runtime.errors import ConvertError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Recipe
from edgeai_runtime.trust.store import blob_path

MARK = b"an engine of "
STANDS_IN = f"""
import json, os, runpy, sys
from pathlib import Path
import edgeai_runtime.backends.select as select
import edgeai_runtime.convert.tensorrt.build as engine
from edgeai_runtime.backends.onnx import OnnxBackend

class Engine(OnnxBackend):
    @classmethod
    def load(cls, path, execution):
        data = path.read_bytes()
        assert data.startswith({MARK!r}), path
        graph = path.with_name("unmarked")
        graph.write_bytes(data[{len(MARK)}:])
        return OnnxBackend.load(graph, execution)

def build(source, target, options, progress, calibration=None):
    progress("building an engine")
    told = {{
        "precision": options.precision,
        "shapes": {{name: sorted(set(shapes)) for name, shapes in options.shapes.items()}},
        "calibrated": [list(next(iter(calibration))), len(list(calibration))] if calibration else None,
    }}
    Path(os.environ["TOLD"]).write_text(json.dumps(told))
    target.write_bytes({MARK!r} + source.read_bytes())

engine.build_engine = build
real = select._backend
select._backend = lambda name, what: Engine if name == "tensorrt" else real(name, what)
sys.argv = sys.argv[2:]
runpy.run_module("edgeai_runtime.convert", run_name="__main__")
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stand-in was told to build."""
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\n{STANDS_IN}")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    file = tmp_path / "told.json"
    monkeypatch.setenv("TOLD", str(file))
    return file


def ignore(sentence: str) -> None:
    """No one listens to the progress."""


def test_an_engine_is_built_for_all_shapes_of_the_samples_and_has_a_stand_in(
    tmp_path: Path, told: Path
) -> None:
    paths = Paths(tmp_path / "device")
    release = toy_release(paths, recipe=Recipe(engine="tensorrt", quantize="static"))
    made = convert_release(paths, DEVICE, release, False, ignore)
    assert (made.engine, made.recipe) == ("tensorrt", "TensorRT int8")
    assert blob_path(paths, made.artifact).read_bytes().startswith(MARK)
    backend = OnnxBackend.load(blob_path(paths, made.instead), Execution())
    backend.close()
    said: Dict[str, Any] = json.loads(told.read_text())
    assert said["precision"] == "int8"
    assert len(said["shapes"]["x"]) > 1, "the samples of the toy differ in width"
    assert said["calibrated"] == [["x"], len(release.sets.calibration)]
    again = convert_release(paths, DEVICE, release, False, ignore)
    assert (again.changed, again.artifact, again.instead) == (False, made.artifact, made.instead)


def test_a_search_tries_engines_where_tensorrt_is(
    tmp_path: Path, told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "packages" / "tensorrt").mkdir(parents=True)
    (tmp_path / "packages" / "tensorrt" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    paths = Paths(tmp_path / "device")
    release = toy_release(paths, recipe=Recipe(strategy="auto", ways=("tensorrt",)))
    made = convert_release(paths, DEVICE, release, False, ignore)
    assert [row.candidate for row in made.table][:2] == ["fp32", "TensorRT fp16"]
    assert (made.engine, bool(made.instead)) == ("tensorrt", True)


def test_where_there_is_no_tensorrt_the_recipe_says_so(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    release = toy_release(paths, recipe=Recipe(engine="tensorrt", precision="fp16"))
    progress: List[str] = []
    with pytest.raises(ConvertError, match=r"(?i)tensorrt") as failure:
        convert_release(paths, DEVICE, release, False, progress.append)
    assert "\n" not in failure.value.message
    assert not list(paths.conversions.glob("*.json"))
