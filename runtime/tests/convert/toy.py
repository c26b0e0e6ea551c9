"""A toy reader of labels: grey bars for letters, a convolution and a matrix product with known weights.

A letter is a bar 8 pixels wide, its grey says which; white bars part them. What it answers is known
exactly, so a test can ask for figures instead of hoping for a trained model's.
"""

from __future__ import annotations

import hashlib
import io
import random
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Blob, Pipeline, Recipe, Release, Sample, Sets, content_pieces
from edgeai_runtime.release.tensors import SplitModel, split_model
from edgeai_runtime.settings import Device
from edgeai_runtime.trust.store import blob_path

LETTERS = "ABCD"
BAR = 8
WHITE = 255
GREYS = (0, 50, 100, 150)
DEVICE = Device("line1-pi", "raspberry_pi", "line-1", "http://127.0.0.1:9", "127.0.0.1:0", threads=1)
CHANNELS = 16


def toy_model(
    opset: int = 11,
    constants: bool = False,
    erring_width: int = 0,
    seed: int = 0,
    greys: Sequence[int] = GREYS,
) -> bytes:
    """The reader as ONNX: input x [1, 3, 8, W] in 0..1, output [1, W/8, 5] (blank, A, B, C, D).

    `constants`: weights in Constant nodes; `erring_width`: images wider than it fail at run time;
    `seed` makes another file of the same behaviour; `greys`: what it takes for A, B, C, D.
    """
    kernel = np.zeros((CHANNELS, 3, BAR, BAR), np.float32)
    kernel[:] = 1.0 / (3 * BAR * BAR)  # each channel is the bar's mean grey
    levels = np.array([WHITE, *greys], np.float32) / 255
    # The likeliest class is the nearest level: -(g - l)^2 = 2gl - l^2 - g^2, and g^2 is the same for all.
    product = np.tile(2 * levels / CHANNELS, (CHANNELS, 1)).astype(np.float32) * 100
    weights = {"kernel": kernel, "product": product, "bias": (-100 * levels**2).astype(np.float32)}
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    shape = numpy_helper.from_array(np.array([0, CHANNELS, -1], np.int64), "shape")
    start = "x"
    nodes: List[Any] = []
    initializers = [shape]
    if erring_width:
        start = "positioned"
        table = np.zeros((1, 1, 1, erring_width), np.float32)
        initializers += [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.array([0], np.int64), "from"),
            numpy_helper.from_array(np.array([3], np.int64), "axis"),
        ]
        nodes += [
            helper.make_node("Shape", ["x"], ["sizes"]),
            helper.make_node("Gather", ["sizes", "axis"], ["width"]),
            helper.make_node("Slice", ["table", "from", "width", "axis"], ["positions"]),
            helper.make_node("Add", ["x", "positions"], ["positioned"]),
        ]
    if constants:
        nodes += [helper.make_node("Constant", [], [t.name], value=t) for t in tensors]
    else:
        initializers += tensors
    nodes += [
        helper.make_node("Conv", [start, "kernel"], ["bars"], kernel_shape=[BAR, BAR], strides=[BAR, BAR]),
        helper.make_node("Reshape", ["bars", "shape"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["steps"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["steps", "product"], ["scores"]),
        helper.make_node("Add", ["scores", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=2),
    ]
    graph = helper.make_graph(
        nodes,
        f"toy{seed}",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, BAR, "W"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "T", len(LETTERS) + 1])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    helper.set_model_props(model, {"author": "toy"})
    data: bytes = model.SerializeToString()
    return data


def picture(text: str, noise: int = 0) -> bytes:
    """The PNG of a text; `noise` makes another file that reads the same."""
    columns: List[int] = []
    for letter in text:
        columns += [GREYS[LETTERS.index(letter)]] * BAR + [WHITE] * BAR
    pixels = np.tile(np.array(columns, np.int16), (BAR, 1))
    pixels += np.random.default_rng(noise).integers(-3, 4, pixels.shape, dtype=np.int16)
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def texts(count: int, length: int, seed: int) -> List[str]:
    draw = random.Random(seed)
    return ["".join(draw.choice(LETTERS) for _letter in range(length)) for _word in range(count)]


def put(paths: Paths, data: bytes) -> Blob:
    """A blob in the device's store, as a fetch leaves it."""
    sha256 = hashlib.sha256(data).hexdigest()
    path = blob_path(paths, sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return Blob(sha256, len(data))


def put_model(paths: Paths, data: bytes) -> SplitModel:
    """A model in the device's store, as its graph and its tensors."""
    file = paths.root / "model.onnx"
    file.write_bytes(data)
    found = split_model(file, "toy")
    for content in found.contents.values():
        put(paths, b"".join(content_pieces(content)))
    file.unlink()
    return found


def put_samples(paths: Paths, words: Sequence[str], noise: int, expected: bool = True) -> Tuple[Sample, ...]:
    samples = []
    for number, text in enumerate(words):
        blob = put(paths, picture(text, noise + number))
        samples.append(Sample(blob.sha256, blob.size, text if expected else None))
    return tuple(samples)


def black_samples(paths: Paths, count: int) -> Tuple[Sample, ...]:
    """What a camera with its cap on gives."""
    samples = []
    for number in range(count):
        buffer = io.BytesIO()
        Image.new("RGB", (BAR * (4 + number), BAR)).save(buffer, "PNG")
        blob = put(paths, buffer.getvalue())
        samples.append(Sample(blob.sha256, blob.size))
    return tuple(samples)


def toy_release(
    paths: Paths,
    version: str = "1.0.0",
    name: str = "label-reader",
    recipe: Optional[Recipe] = None,
    model: Optional[bytes] = None,
    black: bool = False,
    wrong_golden: int = 0,
    gates: Optional[Dict[str, float]] = None,
) -> Release:
    """A fetched release of the toy; `black` calibrates it on black images, `wrong_golden` samples expect
    what nobody can read."""
    golden = list(put_samples(paths, texts(10, 4, seed=3), noise=300))
    for index in range(wrong_golden):
        golden[index] = Sample(golden[index].sha256, golden[index].size, "unreadable")
    split = put_model(paths, toy_model() if model is None else model)
    return Release(
        name=name,
        version=version,
        description="Reads grey bars",
        model=split.graph,
        tensors=split.tensors,
        labels=put(paths, "".join(f"{letter}\n" for letter in LETTERS).encode()),
        pipeline=Pipeline(
            pre=(
                {"op": "decode"},
                {"op": "resize", "height": BAR},
                {"op": "normalize", "mean": [0.0] * 3, "std": [1.0] * 3},
                {"op": "layout", "color": "RGB", "order": "NCHW"},
            ),
            post=({"op": "ctc_text"},),
        ),
        sets=Sets(
            calibration=black_samples(paths, 3)
            if black
            else put_samples(paths, texts(4, 6, seed=1), noise=100, expected=False),
            selection=put_samples(paths, texts(6, 5, seed=2), noise=200),
            golden=tuple(golden),
        ),
        recipes={"raspberry_pi": recipe or Recipe(quantize="static", per_channel=True)},
        gates={"exact_match": 0.9, **(gates or {})},
    )


def build_environment(paths: Paths, digest: str = "e" * 64) -> str:
    """An environment whose python is this one, as complete as a built one."""
    directory = paths.environment(digest)
    python = directory / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (directory / ".complete").write_text(digest)
    return digest


def write_model(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def operators(path: Path) -> List[str]:
    return [node.op_type for node in onnx.load(str(path)).graph.node]
