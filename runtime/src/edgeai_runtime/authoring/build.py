"""A release out of an author's directory, whose model may be a PyTorch program: that is exported to ONNX."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, Callable, List, Mapping, NamedTuple, Sequence

import numpy as np

from edgeai_runtime.authoring.check import read
from edgeai_runtime.authoring.export import Answer, export
from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.onnx import OnnxBackend
from edgeai_runtime.errors import InputError
from edgeai_runtime.protocol import requests
from edgeai_runtime.release import Content, Release
from edgeai_runtime.serving import pipeline
from edgeai_runtime.settings import load_toml

COMPARED = 8  # samples that the model answers before and after
RTOL, ATOL = 1e-3, 1e-4  # of float32 values; what another order of the same sums makes is far less
_MODEL = "model.onnx"
_SOURCE = re.compile(r'^(\s*source\s*=\s*)(["\'])[^"\']*\2', re.MULTILINE)


class Built(NamedTuple):
    """`answers`: how many samples the model was asked; `furthest`: where it was `exported`, the largest
    difference of a value before and after that."""

    release: Release
    answers: int
    exported: bool
    furthest: float


def build(directory: Path, output: Path, progress: Callable[[str], None]) -> Built:
    """Write the release in an author's `directory` to `output`, which must be new: checked, its model ONNX.

    A model that is a TorchScript file or an exported program (torch.export.save) is exported, for batches of
    any number of rows where it allows that, and answers as before. Raises InputError, BackendError.
    """
    if output.exists():
        raise InputError(f"{output}: this is there already; name a directory that is new.")
    release, contents = read(directory)
    source = _source_file(directory)
    samples = [_feeds(release, contents, sample.sha256) for sample in release.sets.selection[:COMPARED]]
    try:
        _copy(directory, output, source)
        if source.suffix == ".onnx":
            shutil.copyfile(source, output / _MODEL)
            answers = _answers(output / _MODEL, samples)
            furthest = 0.0
        else:
            progress(f"exporting {source.name} to ONNX")
            before = export(source, output / _MODEL, samples)
            progress(f"asking it {len(samples)} samples")
            answers = _answers(output / _MODEL, samples)
            furthest = _difference(source, before, answers)
        built, _contents = read(output)
    except BaseException:
        shutil.rmtree(output, ignore_errors=True)
        raise
    return Built(built, len(answers), source.suffix != ".onnx", furthest)


def _source_file(directory: Path) -> Path:
    return directory / str(load_toml(directory / "release.toml")["model"]["source"])


def _copy(directory: Path, output: Path, source: Path) -> None:
    """All files but the model's, and the text that names it."""
    shutil.copytree(directory, output, ignore=lambda place, names: _left_out(Path(place), names, source))
    text = (output / "release.toml").read_text(encoding="utf-8")
    (output / "release.toml").write_text(_SOURCE.sub(rf'\1"{_MODEL}"', text, count=1), encoding="utf-8")


def _left_out(place: Path, names: Sequence[str], source: Path) -> List[str]:
    return [name for name in names if name.startswith(".") or place / name == source]


def _feeds(release: Release, contents: Mapping[str, Content], sha256: str) -> Tensors:
    """What a sample is for the model; a pipeline's only input is called x."""
    file = contents[sha256]
    assert isinstance(file, Path)  # what is read in parts is the model
    data = file.read_bytes()
    if release.pipeline.pre:
        return {"x": pipeline.prepare(release.pipeline, data).tensor}
    return requests.inputs_of(data)


def _answers(model: Path, samples: Sequence[Tensors]) -> List[Answer]:
    """The outputs in order. Raises BackendError."""
    backend = OnnxBackend.load(model, Execution())
    try:
        names = [spec.name for spec in backend.inputs]
        asked = [sample if len(names) > 1 else {names[0]: next(iter(sample.values()))} for sample in samples]
        return [list(backend.run(sample).values()) for sample in asked]
    finally:
        backend.close()


def _difference(
    source: Path,
    before: Sequence[Sequence[np.ndarray[Any, Any]]],
    after: Sequence[Sequence[np.ndarray[Any, Any]]],
) -> float:
    """The largest of a value. Raises InputError where it is more than another order of the sums makes."""
    furthest = 0.0
    for number, (one, other) in enumerate(zip(before, after), 1):
        for left, right in zip(one, other):
            same = left.shape == right.shape and np.allclose(left, right, RTOL, ATOL, equal_nan=True)
            if not same:
                raise InputError(
                    f"{source}: exported, the model answers sample {number} otherwise than before; export it "
                    "to ONNX by hand, and name that file."
                )
            if left.dtype.kind == "f" and left.size:
                furthest = max(furthest, float(np.max(np.abs(left - right))))
    return furthest
