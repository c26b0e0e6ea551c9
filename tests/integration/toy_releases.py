"""Small real releases: a model that reads words off the greys of a picture's columns."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import List, Optional, Sequence

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

HEIGHT = 8  # pixels
STEP = 4  # columns of a letter, and of the white behind it
GREYS = {"": 255, "A": 0, "B": 80, "C": 160}  # white is CTC's blank
LETTERS = "".join(GREYS)

RELEASE_TOML = """\
schema = 1
name = "{name}"
version = "{version}"
description = "Reads greys"

[model]
source = "model.onnx"
labels = "labels.txt"

[[pipeline.pre]]
op = "decode"
[[pipeline.pre]]
op = "resize"
height = 8
[[pipeline.pre]]
op = "normalize"
mean = [0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0]
[[pipeline.pre]]
op = "layout"
color = "RGB"
order = "NCHW"
[[pipeline.post]]
op = "ctc_text"

[sets]
calibration = "calibration.jsonl"
selection = "selection.jsonl"
golden = "golden.jsonl"

[gates]
exact_match = 0.9
"""


def write_release(
    parent: Path,
    version: str = "1.0.0",
    name: str = "reader",
    classes: Sequence[str] = ("raspberry_pi", "industrial_pc"),
    model: Optional[bytes] = None,
) -> Path:
    """An author's directory of a good release; `model` replaces the model's bytes."""
    directory = parent / f"{name}-{version}"
    directory.mkdir()
    text = RELEASE_TOML.format(name=name, version=version)
    for device_class in classes:
        text += f'\n[recipes.{device_class}]\nengine = "onnxruntime"\nquantize = "none"\n'
    (directory / "release.toml").write_text(text)
    (directory / "labels.txt").write_text("".join(f"{letter}\n" for letter in LETTERS))
    (directory / "model.onnx").write_bytes(model or model_reading_greys(f"{name} {version}"))
    # Every set has words of a length of its own: the sets are disjoint.
    for length, set_name in enumerate(("calibration", "selection", "golden"), 3):
        lines = []
        for number, word in enumerate(words(length)):
            file = f"{set_name}-{number}.png"
            (directory / file).write_bytes(picture(word))
            expected = {} if set_name == "calibration" else {"expect": word}
            lines.append(json.dumps({"file": file, **expected}))
        (directory / f"{set_name}.jsonl").write_text("\n".join(lines) + "\n")
    return directory


def words(length: int) -> List[str]:
    """Three words of a length, each beginning with another letter."""
    return ["".join(LETTERS[(first + place) % 3] for place in range(length)) for first in range(3)]


def picture(word: str) -> bytes:
    """The PNG that reads `word`."""
    columns: List[int] = []
    for letter in word:
        columns += [GREYS[letter]] * STEP + [GREYS[""]] * STEP
    pixels = np.tile(np.asarray(columns, np.uint8), (HEIGHT, 1))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def model_reading_greys(producer: str) -> bytes:
    """x float32 [1, 3, 8, W] to probabilities [1, W, 4]: how near a column's grey is to each class's.

    Another `producer` makes another file of the same behaviour.
    """
    constants = {
        "column": np.asarray([2]),
        "greys": np.asarray(list(GREYS.values()), np.float32) / 255,
        "sharpness": np.asarray([-500], np.float32),
    }
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("Unsqueeze", ["means", "column"], ["columns"]),
        helper.make_node("Sub", ["columns", "greys"], ["off"]),
        helper.make_node("Mul", ["off", "off"], ["squared"]),
        helper.make_node("Mul", ["squared", "sharpness"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=2),
    ]
    graph = helper.make_graph(
        nodes,
        "greys",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, HEIGHT, "W"])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, "W", len(GREYS)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(
        graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)], producer_name=producer
    )
    data: bytes = made.SerializeToString()
    return data
