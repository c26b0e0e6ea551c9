"""Releases of a model that finds out which way up a label is: rapidocr's direction classifier, 0.6 MB.

Small enough that an emulated processor converts it, and a whole one all the same: convolutions that are
worth eight bits, and an accuracy that is measured. Every label is in a set both ways up, so the right
answers are known.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List

import numpy as np
import onnx
from make_releases import fetch_model, json_lines, labelled_set, write_tree
from onnx import helper, numpy_helper
from render import Label, both_ways

MODEL = "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx"
MODEL_SHA256 = "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c"
CLASSES = ("raspberry_pi", "jetson")
RECIPES = {"1.0.0": "", "1.1.0": "per_channel = true"}  # by version

RELEASE_TOML = """\
schema = 1
name = "direction"
version = "{version}"
description = "Says by how many degrees a label is turned"

[model]
source = "model.onnx"
labels = "labels.txt"

[[pipeline.pre]]
op = "decode"
[[pipeline.pre]]
op = "resize"
height = 48
min_width = 48
max_width = 192
[[pipeline.pre]]
op = "normalize"
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
[[pipeline.pre]]
op = "layout"
color = "BGR"
order = "NCHW"
[[pipeline.post]]
op = "ctc_text"

[sets]
calibration = "calibration.jsonl"
selection = "selection.jsonl"
golden = "golden.jsonl"

[gates]
exact_match = 0.95
"""


def write_releases(parent: Path, cache: Path) -> None:
    """Write every version; the model comes out of the wheel that is kept in `cache`."""
    model = saying_text(fetch_model(cache, MODEL, MODEL_SHA256))
    for version, recipe in RECIPES.items():
        text = RELEASE_TOML.format(version=version)
        for device_class in CLASSES:
            text += f'\n[recipes.{device_class}]\nengine = "onnxruntime"\nquantize = "static"\n{recipe}\n'
        files = {
            "release.toml": text.encode(),
            "labels.txt": b"0\n180\n",
            "model.onnx": model,
            **calibration_set(both_ways("calibration", 4)),
            **labelled_set("selection", both_ways("selection", 6)),
            **labelled_set("golden", both_ways("golden", 8)),
        }
        write_tree(parent / f"direction-{version}", files)


def upside_down() -> bytes:
    """A label in no set of a release, turned by half."""
    return both_ways("in use", 1)[1].png


def calibration_set(pictures: List[Label]) -> Dict[str, bytes]:
    files = {f"calibration/{number}.png": picture.png for number, picture in enumerate(pictures)}
    return {**files, "calibration.jsonl": json_lines([{"file": name} for name in files])}


def saying_text(data: bytes) -> bytes:
    """The classifier with its probabilities [N, 2] as [N, 1, 3]: a text of one character, never the blank."""
    model = onnx.load_from_string(data)
    graph = model.graph
    probabilities = graph.output[0].name
    graph.initializer.append(numpy_helper.from_array(np.asarray([0, 0, 1, 0, 0, 0]), "before_the_last_axis"))
    graph.node.append(helper.make_node("Unsqueeze", [probabilities], ["one_step"], axes=[1]))
    graph.node.append(helper.make_node("Pad", ["one_step", "before_the_last_axis"], ["directions"]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("directions", onnx.TensorProto.FLOAT, ["N", 1, 3]))
    made: bytes = model.SerializeToString()
    return made
