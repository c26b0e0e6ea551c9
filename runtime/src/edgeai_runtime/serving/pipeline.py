"""The processing around a model, as its release writes it down: operations before and after.

Serving and calibration both come through `prepare`: a model is calibrated on what it will see.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.errors import InputError
from edgeai_runtime.release import Pipeline
from edgeai_runtime.serving import boxes, images, placing, scores
from edgeai_runtime.serving.geometry import Geometry, Size
from edgeai_runtime.serving.text import ctc_text

_ORDER = (
    "the order is decode, then resize, pad and crop as you like, normalize, layout "
    "(all but decode and layout may be left out)"
)
_POST_ORDER = (
    "the order is ctc_text alone; or sigmoid or softmax where the model has none, then top_k or "
    "detections, then threshold and nms"
)


class Prepared(NamedTuple):
    """An image as the model takes it, and how it came there."""

    tensor: np.ndarray[Any, Any]
    geometry: Geometry


class _Operation(NamedTuple):
    """`takes` and `gives`: kinds of value, and nothing given is what was taken; `needs`: beside the value."""

    run: Any
    takes: Sequence[str]
    gives: Optional[str]
    needs: Sequence[str] = ()


_PLACED = ("geometry",)
_PRE: Dict[str, _Operation] = {
    "decode": _Operation(images.decode, ("bytes",), "image"),
    "resize": _Operation(placing.resize, ("image",), "image", _PLACED),
    "pad": _Operation(placing.pad, ("image",), "image", _PLACED),
    "crop": _Operation(placing.crop, ("image",), "image", _PLACED),
    "normalize": _Operation(images.normalize, ("image",), "array"),
    "layout": _Operation(images.layout, ("image", "array"), "tensor"),
}
_POST: Dict[str, _Operation] = {
    "sigmoid": _Operation(scores.sigmoid, ("outputs",), "outputs"),
    "softmax": _Operation(scores.softmax, ("outputs",), "outputs"),
    "ctc_text": _Operation(ctc_text, ("outputs",), "text", ("labels",)),
    "top_k": _Operation(scores.top_k, ("outputs",), "classes", ("labels",)),
    "detections": _Operation(boxes.detections, ("outputs",), "boxes", ("labels", "geometry")),
    "threshold": _Operation(scores.threshold, ("classes", "boxes"), None),
    "nms": _Operation(boxes.nms, ("boxes",), "boxes"),
}


def check(pipeline: Pipeline, origin: str) -> None:
    """That the operations fit each other: bytes in, one tensor for the model, its outputs to an answer.

    Keys and values of each operation are release/pipelines.py's matter. Raises InputError naming `origin`.
    """
    have = _fit(pipeline.pre, _PRE, "bytes", _ORDER, origin)
    for operation in pipeline.pre:
        for side in ("height", "width", "min_width", "max_width"):
            if operation.get(side, 1) > placing.MAX_SIDE:
                raise InputError(
                    f"{origin}: '{side}' of '{operation['op']}' is {operation[side]}, "
                    f"expected at most {placing.MAX_SIDE}; correct it."
                )
    if pipeline.pre and have != "tensor":
        raise InputError(f"{origin}: the 'pre' operations end in {have}; add 'layout' as the last one.")
    if pipeline.post and not pipeline.pre:
        raise InputError(f"{origin}: 'post' operations need 'pre' operations; add 'decode' and 'layout'.")
    _fit(pipeline.post, _POST, "outputs", _POST_ORDER, origin)


def prepare(pipeline: Pipeline, data: bytes) -> Prepared:
    """An image's bytes (PNG or JPEG) to the model's input tensor, e.g. float32 [1, 3, H, W].

    Raises InputError when the image cannot be used.
    """
    decode, *others = pipeline.pre
    value: Any = _PRE[decode["op"]].run(data)
    geometry = Geometry(value.size, value.size)
    for operation in others:
        step = _PRE[operation["op"]]
        if step.needs == _PLACED:
            value, geometry = step.run(value, geometry, **_parameters(operation))
        else:
            value = step.run(value, **_parameters(operation))
    return Prepared(value, geometry)


def interpret(
    pipeline: Pipeline, outputs: Tensors, labels: Optional[Sequence[str]], geometry: Geometry
) -> Tensors:
    """The model's outputs for one image to the answer; without `post` operations they are the answer.

    Raises BackendError when the outputs are not what an operation needs.
    """
    beside = {"labels": labels, "geometry": geometry}
    for operation in pipeline.post:
        step = _POST[operation["op"]]
        needed = {name: beside[name] for name in step.needs}
        outputs = step.run(outputs, **needed, **_parameters(operation))
    return outputs


def smallest_size(pipeline: Pipeline) -> Size:
    """The width and height of a small image that the first operations admit."""
    for operation in pipeline.pre:
        if operation["op"] == "crop":
            return operation.get("left", 0) + operation["width"], operation.get("top", 0) + operation[
                "height"
            ]
        if operation["op"] == "pad" and "width" in operation:
            return operation["width"], operation["height"]
        if operation["op"] == "resize":
            break
    return 64, 64


def _fit(
    operations: Tuple[Mapping[str, Any], ...],
    known: Mapping[str, _Operation],
    have: str,
    order: str,
    origin: str,
) -> str:
    """The kind of value that `have` is after the operations."""
    for operation in operations:
        name = operation["op"]
        step = known[name]
        if have not in step.takes:
            raise InputError(
                f"{origin}: '{name}' takes {' or '.join(step.takes)} but gets {have} where it stands; "
                f"{order}."
            )
        have = step.gives or have
    return have


def _parameters(operation: Mapping[str, Any]) -> Dict[str, Any]:
    return {key: value for key, value in operation.items() if key != "op"}
