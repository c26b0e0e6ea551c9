"""A release to begin with, of a model that is there already."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Dict, List, Set, Tuple

import numpy as np
import onnx

from edgeai_runtime.backends.base import Backend, Tensors, TensorSpec
from edgeai_runtime.backends.datatypes import TO_NUMPY, datatype_of
from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.onnx import OnnxBackend
from edgeai_runtime.durable import write_atomic
from edgeai_runtime.errors import BackendError, InputError
from edgeai_runtime.protocol import tensors
from edgeai_runtime.release import DEVICE_CLASSES

SAMPLES = 8  # of each set
_TRIES = 1000
_SIDES = (8, 32, 64, 224, 1)  # tried for the sides that a model leaves free, but for the first

_TOML = """\
# {name}: a release for `bundle_releases`. `edgeai release check {directory}` says what is wrong with it;
# what all of this means, and what else there is, stands in docs/release.md of the collection.
schema = 1
name = "{name}"
version = "1.0.0"                # semver; another content takes another version
description = "{name}, as it came"

[model]
source = "model.onnx"
# labels = "labels.txt"          # one class a line, for top_k, detections and ctc_text

# Empty lists: the model takes and gives tensors. One that takes images begins with `decode`, may `resize`,
# `crop`, `pad` and `normalize`, and ends with `layout`; `top_k`, `detections` or `ctc_text` makes its answer.
[pipeline]
pre = []
post = []

# The samples were drawn at random, and expect what the model itself answered on this machine: a device is
# held to compute the same, and to nothing more. Put real ones in their place, of which you know what is
# right. No sample may be in two sets.
[sets]
calibration = "calibration.jsonl"  # ranges for eight-bit integers; expects nothing
selection = "selection.jsonl"      # compares the ways to convert the model, on each device
golden = "golden.jsonl"            # the gate: what a device must answer before it switches

[gates]
agreement = 0.95                 # share of the values that are as expected; or exact_match, top_k, …
# p99_ms = 100                   # on the device, by the golden set
# memory_mb = 500                # of the serving process

# One for each class of devices that the release is for.
{recipes}"""

_RECIPE = """\
[recipes.{device_class}]
engine = "onnxruntime"
strategy = "auto"                # what is fastest there of what passes the gate
"""


def init(directory: Path, model: Path) -> List[Path]:
    """Write a release of `model`, an ONNX file, into `directory`, which must be new or empty; the files.

    Raises InputError, BackendError where the model does not load or answers nothing that can be drawn.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"{directory}: this is not empty; name a directory that is new.")
    if not model.is_file():
        raise InputError(f"{model}: there is no such file; name an ONNX model.")
    backend = OnnxBackend.load(model, Execution())
    try:
        files = _samples(backend)
    finally:
        backend.close()
    name = re.sub(r"[^a-z0-9]+", "-", directory.absolute().name.lower()).strip("-") or "model"
    recipes = "\n".join(_RECIPE.format(device_class=one) for one in DEVICE_CLASSES)
    files["release.toml"] = _TOML.format(name=name, directory=directory, recipes=recipes).encode()
    try:
        files["model.onnx"] = onnx.load(str(model)).SerializeToString()
    except Exception as error:  # noqa: BLE001 - protobuf's own share no base; beyond 2 GB it writes none
        raise InputError(
            f"{model}: this cannot be written as one file ({error}); it may be too large."
        ) from None
    for file, content in files.items():
        write_atomic(directory / file, content)
    return [directory / file for file in files]


def _samples(backend: Backend) -> Dict[str, bytes]:
    """Requests, and the lists of the sets."""
    draw = np.random.default_rng(1)
    side = _fitting(backend, draw)
    files: Dict[str, bytes] = {}
    drawn: Set[bytes] = set()
    for name in ("calibration", "selection", "golden"):
        lines = []
        for number in range(1, SAMPLES + 1):
            feeds = _another(backend.inputs, side, draw, drawn)
            file = f"{name}/{number:03d}.json"
            files[file] = _request(feeds)
            expects = {} if name == "calibration" else {"expect": _told(backend.run(feeds))}
            lines.append(json.dumps({"file": file, **expects}, ensure_ascii=False) + "\n")
        files[f"{name}.jsonl"] = "".join(lines).encode()
    return files


def _another(
    specs: Tuple[TensorSpec, ...], side: int, draw: np.random.Generator, drawn: Set[bytes]
) -> Tensors:
    """What was not drawn before. Raises BackendError."""
    for _try in range(_TRIES):
        feeds = _drawn(specs, side, draw)
        request = _request(feeds)
        if request not in drawn:
            drawn.add(request)
            return feeds
    raise BackendError(
        "the model has too few inputs that differ to draw sets of them; write the release by hand."
    )


def _fitting(backend: Backend, draw: np.random.Generator) -> int:
    """What the free sides can be. Raises BackendError."""
    for side in _SIDES:
        try:
            backend.run(_drawn(backend.inputs, side, draw))
            return side
        except BackendError as error:
            why = error
    raise BackendError(
        f"the model answers nothing that can be drawn for it ({why.message}); write the release by hand."
    )


def _drawn(specs: Tuple[TensorSpec, ...], side: int, draw: np.random.Generator) -> Tensors:
    """Numbers from 0 to 1, whole ones of these two, words; a free first side is 1."""
    feeds: Tensors = {}
    for spec in specs:
        shape = [max(1, given) if not place or given >= 0 else side for place, given in enumerate(spec.shape)]
        dtype = TO_NUMPY[spec.datatype]
        if dtype.kind == "O":
            words = [f"word {number}" for number in draw.integers(0, 1_000_000, int(np.prod(shape)))]
            feeds[spec.name] = np.array(words, np.object_).reshape(shape)
        else:
            values = draw.random(shape) if dtype.kind == "f" else draw.integers(0, 2, shape)
            feeds[spec.name] = np.asarray(values).astype(dtype)
    return feeds


def _request(feeds: Tensors) -> bytes:
    inputs = ", ".join(
        f'{{"name": {json.dumps(name)}, "datatype": "{datatype_of(array)}", "shape": {list(array.shape)}, '
        f'"data": {tensors.to_json(array)}}}'
        for name, array in feeds.items()
    )
    return f'{{"inputs": [{inputs}]}}\n'.encode()


def _told(outputs: Tensors) -> Dict[str, Any]:
    return {name: json.loads(tensors.to_json(array)) for name, array in outputs.items()}
