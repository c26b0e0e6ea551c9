"""The processing around a model, as its release writes it down: operations before and after.

Serving and calibration both come through `prepare`: a model is calibrated on what it will see.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.errors import InputError
from edgeai_runtime.release import Pipeline
from edgeai_runtime.serving import images
from edgeai_runtime.serving.text import ctc_text


class _Pre(NamedTuple):
    run: Any
    takes: Sequence[str]
    gives: str


_PRE: Dict[str, _Pre] = {
    "decode": _Pre(images.decode, ("bytes",), "image"),
    "resize": _Pre(images.resize, ("image",), "image"),
    "normalize": _Pre(images.normalize, ("image",), "array"),
    "layout": _Pre(images.layout, ("image", "array"), "tensor"),
}
_POST: Dict[str, Any] = {"ctc_text": ctc_text}


def check(pipeline: Pipeline, origin: str) -> None:
    """That the operations fit each other: bytes in, one tensor for the model out, at most one post.

    Keys and values of each operation are release.py's matter. Raises InputError naming `origin`.
    """
    have = "bytes"
    for operation in pipeline.pre:
        name = operation["op"]
        step = _PRE[name]
        if have not in step.takes:
            raise InputError(
                f"{origin}: '{name}' takes {' or '.join(step.takes)} but gets {have} where it stands; "
                "the order is decode, resize, normalize, layout (resize and normalize may be left out)."
            )
        have = step.gives
        for side in ("height", "width", "min_width", "max_width"):
            if operation.get(side, 1) > images.MAX_SIDE:
                raise InputError(
                    f"{origin}: '{side}' of '{name}' is {operation[side]}, "
                    f"expected at most {images.MAX_SIDE}; correct it."
                )
        if operation.get("min_width", 1) > operation.get("max_width", images.MAX_SIDE):
            raise InputError(f"{origin}: 'min_width' of '{name}' is above 'max_width'; correct one of them.")
    if pipeline.pre and have != "tensor":
        raise InputError(f"{origin}: the 'pre' operations end in {have}; add 'layout' as the last one.")
    if pipeline.post and not pipeline.pre:
        raise InputError(f"{origin}: 'post' operations need 'pre' operations; add 'decode' and 'layout'.")
    if len(pipeline.post) > 1:
        raise InputError(
            f"{origin}: {len(pipeline.post)} 'post' operations, expected one; remove the others."
        )


def prepare(pipeline: Pipeline, data: bytes) -> np.ndarray[Any, Any]:
    """An image's bytes (PNG or JPEG) to the model's input tensor, e.g. float32 [1, 3, H, W].

    Raises InputError when the image cannot be used.
    """
    value: Any = data
    for operation in pipeline.pre:
        value = _PRE[operation["op"]].run(value, **_parameters(operation))
    tensor: np.ndarray[Any, Any] = np.asarray(value)
    return tensor


def interpret(pipeline: Pipeline, outputs: Tensors, labels: Optional[Sequence[str]]) -> Tensors:
    """The model's outputs to the answer; without `post` operations they are the answer.

    Raises BackendError when the outputs are not what the operation needs.
    """
    for operation in pipeline.post:
        outputs = _POST[operation["op"]](outputs, labels, **_parameters(operation))
    return outputs


def _parameters(operation: Mapping[str, Any]) -> Dict[str, Any]:
    return {key: value for key, value in operation.items() if key != "op"}
