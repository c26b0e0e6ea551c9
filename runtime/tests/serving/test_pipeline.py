from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import toys

from edgeai_runtime.errors import InputError
from edgeai_runtime.release import Pipeline
from edgeai_runtime.serving import pipeline
from edgeai_runtime.serving.geometry import Geometry

DECODE = {"op": "decode"}
RESIZE = {"op": "resize", "height": 8}
NORMALIZE = {"op": "normalize", "mean": [0, 0, 0], "std": [1, 1, 1]}
LAYOUT = {"op": "layout", "color": "RGB", "order": "NHWC"}
CTC = {"op": "ctc_text"}
PAD = {"op": "pad", "multiple": 32}
CROP = {"op": "crop", "width": 8, "height": 8}
SOFTMAX = {"op": "softmax"}
TOP = {"op": "top_k"}
DETECT = {"op": "detections", "coordinates": "xywh"}
THRESHOLD = {"op": "threshold", "min_score": 0.5}
NMS = {"op": "nms", "iou": 0.5}


@pytest.mark.parametrize(
    "pre",
    [
        (),
        (DECODE, LAYOUT),
        (DECODE, RESIZE, LAYOUT),
        (DECODE, NORMALIZE, LAYOUT),
        (DECODE, RESIZE, NORMALIZE, LAYOUT),
        (DECODE, CROP, RESIZE, PAD, CROP, NORMALIZE, LAYOUT),
    ],
)
def test_operations_that_fit_are_accepted(pre: Any) -> None:
    pipeline.check(Pipeline(pre, ()), "here")


@pytest.mark.parametrize(
    "post",
    [
        (SOFTMAX,),
        (CTC,),
        (SOFTMAX, CTC),
        (SOFTMAX, TOP, THRESHOLD),
        (DETECT,),
        ({"op": "sigmoid"}, DETECT, THRESHOLD, NMS, THRESHOLD),
    ],
)
def test_post_operations_that_fit_are_accepted(post: Any) -> None:
    pipeline.check(Pipeline((DECODE, LAYOUT), post), "here")


@pytest.mark.parametrize(
    ("pre", "post", "message"),
    [
        ((RESIZE,), (), "'resize' takes image but gets bytes"),
        ((DECODE, NORMALIZE, RESIZE), (), "'resize' takes image but gets array"),
        ((DECODE, LAYOUT, NORMALIZE), (), "'normalize' takes image but gets tensor"),
        ((DECODE, NORMALIZE), (), "add 'layout'"),
        ((), (CTC,), "need 'pre' operations"),
        ((DECODE, NORMALIZE, PAD), (), "'pad' takes image but gets array"),
        ((DECODE, LAYOUT), (CTC, CTC), "'ctc_text' takes outputs but gets text"),
        ((DECODE, LAYOUT), (NMS,), "'nms' takes boxes but gets outputs"),
        ((DECODE, LAYOUT), (TOP, NMS), "'nms' takes boxes but gets classes"),
        ((DECODE, LAYOUT), (TOP, SOFTMAX), "'softmax' takes outputs but gets classes"),
        ((DECODE, LAYOUT), (CTC, THRESHOLD), "'threshold' takes classes or boxes but gets text"),
        ((DECODE, LAYOUT), (DETECT, TOP), "'top_k' takes outputs but gets boxes"),
        ((DECODE, {"op": "pad", "width": 9000, "height": 8}, LAYOUT), (), "'width' of 'pad' is 9000"),
        ((DECODE, {"op": "resize", "height": 9000}, LAYOUT), (), "expected at most 8192"),
        ((DECODE, {"op": "resize", "height": 8, "max_width": 9000}, LAYOUT), (), "expected at most 8192"),
    ],
)
def test_operations_that_do_not_fit_are_refused(pre: Any, post: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        pipeline.check(Pipeline(pre, post), "here")
    assert caught.value.message.startswith("here: ")


def test_an_image_becomes_the_models_tensor() -> None:
    tensor, _geometry = pipeline.prepare(toys.READER, toys.picture("ABC"))
    assert (tensor.dtype, tensor.shape) == (np.float32, (1, 3, 8, 12))
    np.testing.assert_allclose(tensor[0, 0, 0, :6], np.asarray([0, 0, 255, 255, 85, 85]) / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("pre", "size"),
    [
        ((DECODE, LAYOUT), (64, 64)),
        (
            (DECODE, {"op": "resize", "height": 8}, {"op": "crop", "width": 200, "height": 8}, LAYOUT),
            (64, 64),
        ),
        ((DECODE, {"op": "crop", "width": 100, "height": 9, "left": 50, "top": 7}, LAYOUT), (150, 16)),
        ((DECODE, {"op": "pad", "width": 32, "height": 16}, LAYOUT), (32, 16)),
        ((DECODE, PAD, LAYOUT), (64, 64)),
    ],
)
def test_a_model_is_warmed_up_with_an_image_that_its_operations_admit(pre: Any, size: Any) -> None:
    assert pipeline.smallest_size(Pipeline(pre, ())) == size


def test_without_post_operations_the_outputs_are_the_answer() -> None:
    outputs = {"y": np.zeros(1)}
    assert pipeline.interpret(toys.NO_PIPELINE, outputs, None, Geometry((8, 8), (8, 8))) is outputs
