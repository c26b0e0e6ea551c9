"""The releases that `bench-convert` has converted: real models and data, fetched or rendered."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.environments import REPO, UnavailableError
from benchmarks.networks import CLASSIFIER, CLASSIFIER_SHA256, IR_VERSION, OPSET
from edgeai_runtime.release import Pipeline
from edgeai_runtime.serving.pipeline import prepare

# The example knows its networks and its labels.
sys.path.append(str(REPO / "examples" / "label_reader"))
from make_releases import CannotMakeError, characters_of, fetch_model, json_lines, labelled_set
from render import both_ways, labels

DETECTOR = "rapidocr/models/PP-OCRv6_det_small.onnx"
DETECTOR_SHA256 = "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f"
DIGITS = "scikit-learn==1.7.2"  # carries 1,797 digits of 8 by 8 pixels, of the UCI repository
DIGITS_FILE = "sklearn/datasets/data/digits.csv.gz"
CLASS = "industrial_pc"


def recogniser(cache: Path) -> Dict[str, bytes]:
    """rapidocr's reader of text, on labels as a camera above a belt sees them."""
    model = fetch_model(cache)
    return {
        **_release("recogniser", _toml(_images_as(48, 48, 960), "ctc_text"), "exact_match", 0.97, True),
        "model.onnx": model,
        "labels.txt": characters_of(model).encode(),
        **_images("calibration", [label.png for label in labels("calibration", 24, wide_every=4)]),
        **labelled_set("selection", labels("selection", 100, wide_every=4)),
        **labelled_set("golden", labels("golden", 200, wide_every=4)),
    }


def classifier(cache: Path) -> Dict[str, bytes]:
    """rapidocr's classifier of a text's direction, on the same labels both ways up."""
    return {
        **_release("classifier", _toml(_images_as(48, 192, 192), "top_k"), "exact_match", 0.95, True),
        "model.onnx": fetch_model(cache, CLASSIFIER, CLASSIFIER_SHA256),
        "labels.txt": b"0\n180\n",
        **_images("calibration", [label.png for label in both_ways("calibration", 12)]),
        **labelled_set("selection", both_ways("selection", 50)),
        **labelled_set("golden", both_ways("golden", 100)),
    }


def detector(cache: Path) -> Dict[str, bytes]:
    """rapidocr's detector, a map of where there is text; right is what it answers as it came."""
    model = fetch_model(cache, DETECTOR, DETECTOR_SHA256)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (given,), (found,) = session.get_inputs(), session.get_outputs()
    pre = _images_as(32, 160, 160)
    files = {
        **_release("detector", _toml(pre), "agreement", 0.95, False),
        "model.onnx": model,
        **_images("calibration", [label.png for label in labels("calibration", 24, wide_every=4)]),
    }
    for name, count in (("selection", 24), ("golden", 48)):
        lines: List[Dict[str, Any]] = []
        for number, label in enumerate(labels(name, count, wide_every=4)):
            file = f"{name}/{number}.png"
            files[file] = label.png
            (answer,) = session.run([found.name], {given.name: prepare(Pipeline(pre, ()), label.png).tensor})
            lines.append(
                {
                    "file": file,
                    "expect": {found.name: np.round(answer.astype(np.float64), 4).ravel().tolist()},
                }
            )
        files[f"{name}.jsonl"] = json_lines(lines)
    return files


def digits(cache: Path) -> Dict[str, bytes]:
    """A convolutional net for handwritten digits: filters drawn from a seed, the rest fitted here."""
    pixels, classes = _digits(cache)
    parts = {"train": 1000, "calibration": 97, "selection": 300, "golden": 400}
    ends = np.cumsum(list(parts.values()))
    of = dict(zip(parts, zip(np.split(pixels, ends), np.split(classes, ends))))
    files = {
        **_release("digits", _toml(), "exact_match", 0.9, False),
        "model.onnx": _fit(*of["train"]),
    }
    for name in ("calibration", "selection", "golden"):
        lines: List[Dict[str, Any]] = []
        for number, (image, digit) in enumerate(zip(*of[name])):
            file = f"{name}/{number}.json"
            given = {"name": "x", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": image.ravel().tolist()}
            files[file] = json.dumps({"inputs": [given]}).encode()
            lines.append(
                {"file": file, **({} if name == "calibration" else {"expect": {"digit": [int(digit)]}})}
            )
        files[f"{name}.jsonl"] = json_lines(lines)
    return files


CASES: Dict[str, Callable[[Path], Dict[str, bytes]]] = {
    made.__name__: made for made in (recogniser, detector, classifier, digits)
}


def case(name: str, cache: Path) -> Dict[str, bytes]:
    """The files of a release's directory. Raises UnavailableError where they cannot be fetched."""
    try:
        return CASES[name](cache)
    except CannotMakeError as error:
        raise UnavailableError(str(error)) from None


def _images_as(height: int, narrowest: int, widest: int) -> Tuple[Dict[str, Any], ...]:
    """What makes of an image what rapidocr's models take."""
    return (
        {"op": "decode"},
        {"op": "resize", "height": height, "min_width": narrowest, "max_width": widest},
        {"op": "normalize", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        {"op": "layout", "color": "BGR", "order": "NCHW"},
    )


def _toml(pre: Sequence[Mapping[str, Any]] = (), answer: str = "") -> str:
    """A release's pipeline; without an `answer` it is the model's own outputs."""

    def listed(steps: Sequence[Mapping[str, Any]]) -> str:
        tables = [", ".join(f"{key} = {json.dumps(value)}" for key, value in step.items()) for step in steps]
        return ", ".join(f"{{{table}}}" for table in tables)

    return f"[pipeline]\npre = [{listed(pre)}]\npost = [{listed([{'op': answer}] if answer else [])}]\n"


def _release(name: str, pipeline: str, gate: str, required: float, labelled: bool) -> Dict[str, bytes]:
    text = f"""\
schema = 1
name = "{name}"
version = "1.0.0"
description = "Of the benchmark"
[model]
source = "model.onnx"
{'labels = "labels.txt"' if labelled else ""}
{pipeline}
[sets]
calibration = "calibration.jsonl"
selection = "selection.jsonl"
golden = "golden.jsonl"
[gates]
{gate} = {required}
[recipes.{CLASS}]
engine = "onnxruntime"
strategy = "auto"
"""
    return {"release.toml": text.encode()}


def _images(name: str, pictures: Sequence[bytes]) -> Dict[str, bytes]:
    files = {f"{name}/{number}.png": picture for number, picture in enumerate(pictures)}
    return {**files, f"{name}.jsonl": json_lines([{"file": file} for file in files])}


def _digits(cache: Path) -> Tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Pixels float32 [N, 1, 8, 8] from 0 to 1, classes int64 [N], in an order drawn from a seed."""
    name, version = DIGITS.replace("-", "_").split("==")
    if not list(cache.glob(f"{name}-{version}-*.whl")):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run(
            [*pip, "--dest", str(cache), DIGITS], capture_output=True, text=True, check=False
        )
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise UnavailableError(f"pip download {DIGITS} failed ({why}); connect to a package index.")
    with zipfile.ZipFile(next(cache.glob(f"{name}-{version}-*.whl"))) as wheel:
        text = gzip.decompress(wheel.read(DIGITS_FILE)).decode()
    table = np.array(list(csv.reader(io.StringIO(text))), np.float64)
    table = table[np.random.default_rng(1).permutation(len(table))]
    return (table[:, :64] / 16).reshape(-1, 1, 8, 8).astype(np.float32), table[:, 64].astype(np.int64)


def _fit(pixels: np.ndarray[Any, Any], classes: np.ndarray[Any, Any]) -> bytes:
    """The net as ONNX: x float32 [N, 1, 8, 8] to digit int64 [N]; its last layer by ridge regression."""
    draw = np.random.default_rng(2)
    filters = {
        "k1": draw.standard_normal((32, 1, 3, 3)) / 3,
        "k2": draw.standard_normal((64, 32, 3, 3)) / np.sqrt(32 * 9),
    }
    nodes = [
        helper.make_node("Conv", ["x", "k1"], ["c1"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "k2"], ["c2"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("MaxPool", ["r2"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
    ]
    session = onnxruntime.InferenceSession(
        _model(nodes, filters, "f", TensorProto.FLOAT, ["N", 1024]), providers=["CPUExecutionProvider"]
    )
    features = np.hstack([session.run(["f"], {"x": pixels})[0], np.ones((len(pixels), 1), np.float32)])
    wanted = np.eye(10)[classes]
    gram = features.T @ features + 1.0 * np.eye(features.shape[1])
    weights = np.linalg.solve(gram, features.T @ wanted)
    nodes += [
        helper.make_node("Gemm", ["f", "w", "b"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["digit"], axis=1, keepdims=0),
    ]
    layers = {**filters, "w": weights[:-1], "b": weights[-1]}
    return _model(nodes, layers, "digit", TensorProto.INT64, ["N"])


def _model(
    nodes: Sequence[Any],
    weights: Dict[str, np.ndarray[Any, Any]],
    output: str,
    kind: int,
    shape: Sequence[Any],
) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        "digits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info(output, kind, list(shape))],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString()
    return data
