"""Small real models and generations for the tests of serving."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image

from edgeai_runtime.release import AS_MEASURED, Blob, Pipeline, Recipe, Release, Sample, Serving, Sets

LABELS = ("A", "B", "C")
# The grey of each letter in a picture; white is blank.
GREYS = {"A": 0, "B": 85, "C": 170, " ": 255}
NO_PIPELINE = Pipeline((), ())
READER = Pipeline(
    pre=(
        {"op": "decode"},
        {"op": "resize", "height": 8, "min_width": 4, "max_width": 32},
        {"op": "normalize", "mean": [0.0] * 3, "std": [1.0] * 3},
        {"op": "layout", "color": "BGR", "order": "NCHW"},
    ),
    post=({"op": "ctc_text"},),
)


@dataclass(frozen=True)
class Toy:
    graph: bytes
    pipeline: Pipeline = NO_PIPELINE
    labels: Optional[Sequence[str]] = None
    version: str = "1.0.0"
    serving: Serving = AS_MEASURED


def add_one() -> bytes:
    """y = x + 1, float32 [N, 3]."""
    return _model(
        [helper.make_node("Add", ["x", "one"], ["y"])],
        [("x", TensorProto.FLOAT, ["N", 3])],
        [("y", TensorProto.FLOAT, ["N", 3])],
        {"one": np.ones(1, np.float32)},
    )


def echo(datatype: int, shape: Sequence[Any]) -> bytes:
    """y = x."""
    return _model(
        [helper.make_node("Identity", ["x"], ["y"])], [("x", datatype, shape)], [("y", datatype, shape)], {}
    )


def single(node: Any, datatype: int, shape: Sequence[Any]) -> bytes:
    """One node from x to y."""
    return _model([node], [("x", datatype, shape)], [("y", datatype, shape)], {})


def wide_inside() -> bytes:
    """The largest of x float32 [N, 4], by way of 2 MB a row."""
    nodes = [
        helper.make_node("Tile", ["x", "often"], ["wide"]),
        helper.make_node("ArgMax", ["wide"], ["y"], axis=1),
    ]
    return _model(
        nodes,
        [("x", TensorProto.FLOAT, ["N", 4])],
        [("y", TensorProto.INT64, ["N", 1])],
        {"often": np.array([1, 1 << 17], np.int64)},
    )


def sum_of_rows() -> bytes:
    """y = the rows of x, added up: [3] whatever the first dimension is."""
    nodes = [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)]
    constants = {"axes": np.asarray([0], np.int64)}
    return _model(nodes, [("x", TensorProto.FLOAT, ["N", 3])], [("y", TensorProto.FLOAT, [3])], constants)


def divide() -> bytes:
    """y = 1 / x, float32 [N]: 0 gives infinity."""
    return _model(
        [helper.make_node("Div", ["one", "x"], ["y"])],
        [("x", TensorProto.FLOAT, ["N"])],
        [("y", TensorProto.FLOAT, ["N"])],
        {"one": np.ones(1, np.float32)},
    )


def sum_of_two() -> bytes:
    """y = a + b, int64 [2]."""
    return _model(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [("a", TensorProto.INT64, [2]), ("b", TensorProto.INT64, [2])],
        [("y", TensorProto.INT64, [2])],
        {},
    )


def reader(widest: int = 0) -> bytes:
    """Reads letters off the grey of columns: x [N, 3, 8, W] to probabilities [N, W, 4].

    With `widest` it fails for images wider than that, as a model with a table of positions does.
    """
    centres = np.asarray([GREYS[letter] / 255 for letter in (" ", *LABELS)], np.float32)
    constants = {"axis": np.asarray([2]), "centres": centres, "sharp": np.asarray([-500], np.float32)}
    nodes = []
    source = "x"
    if widest:
        constants.update(
            table=np.zeros((1, 1, 1, widest), np.float32), zero=np.asarray([0]), three=np.asarray([3])
        )
        nodes = [
            helper.make_node("Shape", ["x"], ["shape"]),
            helper.make_node("Gather", ["shape", "three"], ["width"]),
            helper.make_node("Slice", ["table", "zero", "width", "three"], ["positions"]),
            helper.make_node("Add", ["x", "positions"], ["placed"], name="positions"),
        ]
        source = "placed"
    nodes += [
        helper.make_node("ReduceMean", [source], ["columns"], axes=[1, 2], keepdims=0),
        helper.make_node("Unsqueeze", ["columns", "axis"], ["column"]),
        helper.make_node("Sub", ["column", "centres"], ["off"]),
        helper.make_node("Mul", ["off", "off"], ["distance"]),
        helper.make_node("Mul", ["distance", "sharp"], ["score"]),
        helper.make_node("Softmax", ["score"], ["probabilities"], axis=2),
    ]
    return _model(
        nodes,
        [("x", TensorProto.FLOAT, ["N", 3, 8, "W"])],
        [("probabilities", TensorProto.FLOAT, ["N", "W", 4])],
        constants,
    )


def brightest() -> bytes:
    """Classifies by colour: x [1, 3, H, W] to the mean of each channel, [1, 3]."""
    return _model(
        [helper.make_node("ReduceMean", ["x"], ["logits"], axes=[2, 3], keepdims=0)],
        [("x", TensorProto.FLOAT, [1, 3, "H", "W"])],
        [("logits", TensorProto.FLOAT, [1, 3])],
        {},
    )


def detector(side: int, cell: int, channels_first: bool = False, apart: bool = False) -> bytes:
    """Finds cells full of one colour: x [1, 3, side, side] to a candidate for each cell of `cell` pixels.

    A candidate is the centre, width and height of its cell and the mean of each channel in it, in one
    output `found` [1, N, 7] ([1, 7, N] with `channels_first`) or `apart` as `places` and `means`.
    """
    count = side // cell
    centres = (np.arange(count) + 0.5) * cell
    y, x = np.meshgrid(centres, centres, indexing="ij")
    places = np.stack([x, y, np.full_like(x, cell), np.full_like(x, cell)], axis=-1)
    nodes = [
        helper.make_node("AveragePool", ["x"], ["cells"], kernel_shape=[cell, cell], strides=[cell, cell]),
        helper.make_node("Reshape", ["cells", "flat"], ["listed"]),
        helper.make_node("Transpose", ["listed"], ["means"], perm=[0, 2, 1]),
    ]
    total = count * count
    outputs: List[Tuple[str, int, Sequence[Any]]] = [("found", TensorProto.FLOAT, [1, total, 7])]
    if apart:
        nodes.append(helper.make_node("Identity", ["fixed"], ["places"]))
        outputs = [("means", TensorProto.FLOAT, [1, total, 3]), ("places", TensorProto.FLOAT, [1, total, 4])]
    else:
        joined = "joined" if channels_first else "found"
        nodes.append(helper.make_node("Concat", ["fixed", "means"], [joined], axis=2))
        if channels_first:
            nodes.append(helper.make_node("Transpose", [joined], ["found"], perm=[0, 2, 1]))
            outputs = [("found", TensorProto.FLOAT, [1, 7, total])]
    return _model(
        nodes,
        [("x", TensorProto.FLOAT, [1, 3, side, side])],
        outputs,
        {
            "flat": np.asarray([1, 3, -1], np.int64),
            "fixed": places.reshape(1, -1, 4).astype(np.float32),
        },
    )


def laborious() -> bytes:
    """Multiplies a 256 x 256 matrix `rounds` (int64 [1]) times: work as long as one asks for."""
    size = 256
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "matrix"], ["after"]),
            helper.make_node("Identity", ["go_on"], ["go_on_after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, [size, size]),
        ],
        [
            helper.make_tensor_value_info("go_on_after", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, [size, size]),
        ],
    )
    return _model(
        [
            helper.make_node("Squeeze", ["rounds"], ["count"]),
            helper.make_node("Loop", ["count", "yes", "matrix"], ["result"], body=body),
            helper.make_node("ReduceMax", ["result"], ["y"], keepdims=0),
        ],
        [("rounds", TensorProto.INT64, [1])],
        [("y", TensorProto.FLOAT, [])],
        {"matrix": np.eye(size, dtype=np.float32), "yes": np.asarray(True)},
    )


def picture(text: str, kind: str = "PNG", step: int = 2) -> bytes:
    """A picture that `reader` reads as `text`: each letter `step` columns wide, white between them."""
    columns: List[int] = []
    for letter in text:
        columns += [GREYS[letter]] * step + [GREYS[" "]] * step
    pixels = np.repeat(np.asarray([columns], np.uint8), 8, axis=0)
    file = io.BytesIO()
    Image.fromarray(np.stack([pixels] * 3, axis=2)).save(
        file, kind, **({"quality": 100} if kind == "JPEG" else {})
    )
    return file.getvalue()


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def release(name: str, toy: Toy) -> Release:
    labels = None if toy.labels is None else "\n".join(toy.labels).encode() + b"\n"
    operations = {step["op"] for step in toy.pipeline.post}
    expect: Any = () if "detections" in operations else "A" if operations else {"y": [0.0]}
    return Release(
        name=name,
        version=toy.version,
        description="a toy",
        model=_blob(toy.graph),
        labels=None if labels is None else _blob(labels),
        pipeline=toy.pipeline,
        sets=Sets((), (Sample("0" * 64, 1, expect),), (Sample("1" * 64, 1, expect),)),
        recipes={"raspberry_pi": Recipe()},
        gates={"exact_match": 0.9},
        serving=toy.serving,
    )


def write_generation(directory: Path, toys: Mapping[str, Toy], number: int = 1) -> Path:
    """A generation's directory as `generations` composes it."""
    entries: Dict[str, Any] = {}
    config = []
    for name, toy in toys.items():
        models = directory / "models" / name
        models.mkdir(parents=True)
        (models / "release.json").write_bytes(release(name, toy).to_json())
        (models / "model.onnx").write_bytes(toy.graph)
        if toy.labels is not None:
            (models / "labels.txt").write_text("\n".join(toy.labels) + "\n", encoding="utf-8")
        entries[name] = {"version": toy.version, "engine": "onnxruntime"}
        config.append(f"[models.{name}]\nthreads = 1\n")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "runtime.toml").write_text("\n".join(config))
    manifest = {"schema": 1, "generation": number, "environment": "none", "parent": None, "models": entries}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory


def _blob(data: bytes) -> Blob:
    return Blob(hashlib.sha256(data).hexdigest(), len(data))


def _model(
    nodes: Sequence[Any],
    inputs: Sequence[Tuple[str, int, Sequence[Any]]],
    outputs: Sequence[Tuple[str, int, Sequence[Any]]],
    constants: Mapping[str, np.ndarray[Any, Any]],
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model: ModelProto = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])
    data: bytes = model.SerializeToString()
    return data
