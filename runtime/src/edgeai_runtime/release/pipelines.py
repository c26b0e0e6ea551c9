"""The operations a pipeline may have, and their parameters."""

from __future__ import annotations

from typing import Any, Mapping, Sequence, Tuple

from edgeai_runtime.errors import InputError
from edgeai_runtime.release.parts import Pipeline
from edgeai_runtime.strict import NUMBERS, check_keys, choice, typed, within

Parameters = Mapping[str, Tuple[Sequence[str], Sequence[str]]]

# Parameters of each operation: (required, optional).
PRE_OPERATIONS: Parameters = {
    "decode": ((), ()),
    "resize": (("height",), ("width", "fit", "min_width", "max_width")),
    "pad": ((), ("width", "height", "multiple", "value", "position")),
    "crop": (("width", "height"), ("left", "top")),
    "normalize": (("mean", "std"), ()),
    "layout": (("color", "order"), ()),
}
POST_OPERATIONS: Parameters = {
    "ctc_text": ((), ()),
    "sigmoid": ((), ("output",)),
    "softmax": ((), ("output",)),
    "top_k": ((), ("k", "output")),
    "detections": (("coordinates",), ("boxes", "scores", "objectness", "relative")),
    "threshold": (("min_score",), ()),
    "nms": (("iou",), ("max_boxes",)),
}
# These name what they found out of the model's labels.
LABELLED_OPERATIONS = ("ctc_text", "top_k", "detections")

_CHOICES: Mapping[str, Sequence[str]] = {
    "color": ("RGB", "BGR"),
    "order": ("NCHW", "NHWC"),
    "fit": ("stretch", "contain", "cover"),
    "position": ("center", "top_left"),
    "coordinates": ("xywh", "xyxy"),
}
# Both ends included.
_WHOLE_NUMBERS: Mapping[str, Tuple[int, int]] = {
    "multiple": (1, 1024),
    "value": (0, 255),
    "left": (0, 65535),
    "top": (0, 65535),
    "k": (1, 1000),
    "max_boxes": (1, 10000),
}
_SHARES = ("min_score", "iou")
_TEXTS = ("output", "boxes", "scores")
_FLAGS = ("objectness", "relative")
# One of them without the other means nothing.
_PAIRS: Mapping[str, Sequence[str]] = {
    "pad": ("width", "height"),
    "crop": ("left", "top"),
    "detections": ("boxes", "scores"),
}


def read_pipeline(table: Mapping[str, Any], origin: str) -> Pipeline:
    """The pipeline in {"pre": [...], "post": [...]}; raises InputError."""
    check_keys(table, ["pre", "post"], origin=f"{origin}, [pipeline]")
    return Pipeline(
        pre=_operations(table, "pre", PRE_OPERATIONS, origin),
        post=_operations(table, "post", POST_OPERATIONS, origin),
    )


def _operations(
    pipeline: Mapping[str, Any],
    side: str,
    known: Parameters,
    origin: str,
) -> Tuple[Mapping[str, Any], ...]:
    where = f"{origin}, [[pipeline.{side}]]"
    steps = typed(pipeline, side, list, origin)
    for step in steps:
        if not isinstance(step, dict):
            raise InputError(f"{where}: {step!r} is no operation, expected a table with 'op'; correct it.")
        name = typed(step, "op", str, where)
        if name not in known:
            raise InputError(
                f"{where}: the operation '{name}' is unknown; known are: {', '.join(sorted(known))}."
            )
        required, optional = known[name]
        check_keys(step, ["op", *required], optional, origin=f"{where} '{name}'")
        _check_parameters(step, f"{where} '{name}'")
        _check_together(step, f"{where} '{name}'")
    return tuple(steps)


def _check_parameters(step: Mapping[str, Any], origin: str) -> None:
    for key in ("height", "width", "min_width", "max_width"):
        if key in step and typed(step, key, int, origin) < 1:
            raise InputError(f"{origin}: '{key}' is {step[key]}, expected at least 1 pixel; correct it.")
    if step.get("min_width", 0) > step.get("max_width", float("inf")):
        raise InputError(f"{origin}: 'min_width' is above 'max_width'; correct one of them.")
    for key in ("mean", "std"):
        values = typed(step, key, list, origin) if key in step else [1.0] * 3
        numeric = all(isinstance(v, NUMBERS) and not isinstance(v, bool) for v in values)
        if len(values) != 3 or not numeric or (key == "std" and 0 in values):
            raise InputError(
                f"{origin}: '{key}' is {values!r}, expected three numbers (none 0 in std); correct it."
            )
    for key in step:
        if key in _CHOICES:
            choice(step, key, _CHOICES[key], origin)
        elif key in _WHOLE_NUMBERS:
            within(typed(step, key, int, origin), *_WHOLE_NUMBERS[key], f"{origin}: '{key}'")
        elif key in _SHARES:
            within(typed(step, key, NUMBERS, origin), 0, 1, f"{origin}: '{key}'")
        elif key in _TEXTS:
            typed(step, key, str, origin)
        elif key in _FLAGS:
            typed(step, key, bool, origin)


def _check_together(step: Mapping[str, Any], origin: str) -> None:
    name = step["op"]
    pair = _PAIRS.get(name, ())
    given = [key for key in pair if key in step]
    if len(given) == 1:
        raise InputError(f"{origin}: '{given[0]}' alone says too little; give both {' and '.join(pair)}.")
    if name == "resize" and "fit" in step and "width" not in step:
        raise InputError(f"{origin}: 'fit' says how to fill 'width' and 'height'; add 'width'.")
    if name == "resize" and "width" in step and ("min_width" in step or "max_width" in step):
        raise InputError(f"{origin}: 'width' leaves 'min_width' and 'max_width' nothing to do; remove them.")
    if name == "pad" and ("width" in step) == ("multiple" in step):
        raise InputError(f"{origin}: expected either 'width' and 'height' or 'multiple'; correct it.")
    if step.get("objectness") and "boxes" in step:
        raise InputError(f"{origin}: 'objectness' lies beside the coordinates; remove it or 'boxes'.")
