"""`edgeai release build` writes a release out of an author's directory; a PyTorch program becomes ONNX."""

from __future__ import annotations

import json
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import onnxruntime
import pytest
from zoo import convolutional

from edgeai_runtime.authoring.build import build
from edgeai_runtime.authoring.init import init
from edgeai_runtime.cli import main
from edgeai_runtime.errors import InputError
from edgeai_runtime.release import read_source

TORCH = find_spec("torch") is not None
with_torch = pytest.mark.skipif(
    not TORCH,
    reason="torch is not installed here: it is an extra of the workstation, of hundreds of MB",
)


def ignore(sentence: str) -> None:
    """No one listens to the progress."""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """An author's directory with an ONNX model."""
    (tmp_path / "model.onnx").write_bytes(convolutional())
    init(tmp_path / "author", tmp_path / "model.onnx")
    return tmp_path / "author"


def torch_release(directory: Path, source: str) -> None:
    """An author's directory whose model, a linear layer of 3 to 2, is in the file `source`."""
    import torch

    layer = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()).eval()
    directory.mkdir()
    if source.endswith(".pt2"):
        rows = torch.export.Dim("rows", min=1, max=64)
        program = torch.export.export(layer, (torch.ones(2, 3),), dynamic_shapes=({0: rows},))
        torch.export.save(program, str(directory / source))
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is on its way out, and in use
            torch.jit.trace(layer, torch.ones(1, 3)).save(str(directory / source))
    draw = np.random.default_rng(0)
    for name in ("calibration", "selection", "golden"):
        lines: List[str] = []
        for number in range(4):
            values = draw.random(3).round(3).tolist()
            tensor = {"name": "features", "datatype": "FP32", "shape": [1, 3], "data": values}
            file = f"{name}{number}.json"
            (directory / file).write_text(json.dumps({"inputs": [tensor]}))
            answer = layer(torch.tensor([values])).tolist()
            expects: Dict[str, Any] = {} if name == "calibration" else {"expect": {"output0": answer[0]}}
            lines.append(json.dumps({"file": file, **expects}))
        (directory / f"{name}.jsonl").write_text("\n".join(lines))
    (directory / "release.toml").write_text(
        f"""\
schema = 1
name = "linear"
version = "1.0.0"
description = "of two layers"
[model]
source = "{source}"  # as it was trained
[pipeline]
pre = []
post = []
[sets]
calibration = "calibration.jsonl"
selection = "selection.jsonl"
golden = "golden.jsonl"
[gates]
agreement = 0.95
[recipes.industrial_pc]
engine = "onnxruntime"
quantize = "none"
"""
    )


def test_a_release_of_an_onnx_model_is_written_as_it_is(written: Path, tmp_path: Path) -> None:
    built = build(written, tmp_path / "built", ignore)
    assert (built.exported, built.answers) == (False, 8)
    release, _contents = read_source(tmp_path / "built")
    assert release == built.release == read_source(written)[0]


def test_what_is_there_already_is_not_written_over(written: Path, tmp_path: Path) -> None:
    (tmp_path / "built").mkdir()
    with pytest.raises(InputError, match="built: this is there already; name a directory that is new"):
        build(written, tmp_path / "built", ignore)


def test_a_release_with_a_mistake_is_not_written(written: Path, tmp_path: Path) -> None:
    (written / "golden" / "001.json").write_bytes((written / "selection" / "001.json").read_bytes())
    with pytest.raises(InputError, match="the selection and golden sets share 1 sample"):
        build(written, tmp_path / "built", ignore)
    assert not (tmp_path / "built").exists()


@pytest.mark.skipif(TORCH, reason="torch is installed here")
def test_where_there_is_no_torch_a_sentence_says_what_to_install(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (written / "model.onnx").rename(written / "model.pt2")
    text = (written / "release.toml").read_text().replace("model.onnx", "model.pt2")
    (written / "release.toml").write_text(text)
    assert main(["release", "build", str(written), str(tmp_path / "built")]) == 1
    said = capsys.readouterr().err
    assert "install edgeai-runtime[torch], or name an ONNX file" in said
    assert not (tmp_path / "built").exists()


@with_torch
@pytest.mark.parametrize("source", ["model.pt", "model.pt2"])
def test_a_torch_program_becomes_onnx_of_any_batch_and_answers_as_before(tmp_path: Path, source: str) -> None:
    torch_release(tmp_path / "author", source)
    before = (tmp_path / "author" / source).read_bytes()
    built = build(tmp_path / "author", tmp_path / "built", ignore)
    assert (built.exported, built.answers) == (True, 4)
    assert built.furthest < 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "built" / "model.onnx"))
    (given,) = session.get_inputs()
    assert given.name == "features"
    assert session.run(None, {"features": np.ones((5, 3), np.float32)})[0].shape == (5, 2)
    assert (tmp_path / "author" / source).read_bytes() == before
    assert not (tmp_path / "built" / source).exists()
    assert "# as it was trained" in (tmp_path / "built" / "release.toml").read_text()


@with_torch
def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    torch_release(tmp_path / "author", "model.pt2")
    (tmp_path / "author" / "model.pt2").write_bytes(b"a pickle of weights alone")
    with pytest.raises(InputError, match=r"neither TorchScript \(torch\.jit\.save\) nor an exported program"):
        build(tmp_path / "author", tmp_path / "built", ignore)
    assert not (tmp_path / "built").exists()
