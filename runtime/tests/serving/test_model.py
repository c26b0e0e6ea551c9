from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, Sequence

import numpy as np
import pytest
import toys
from onnx import TensorProto

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.onnx import OnnxBackend
from edgeai_runtime.errors import BackendError, InputError
from edgeai_runtime.release import Pipeline
from edgeai_runtime.serving.model import Model


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def make_model(
        graph: bytes, pipeline: Pipeline = toys.NO_PIPELINE, labels: Optional[Sequence[str]] = None
    ) -> Model:
        file = tmp_path / "model.onnx"
        file.write_bytes(graph)
        return Model("toy", "1.2.0", "onnxruntime", OnnxBackend.load(file, Execution()), pipeline, labels)

    return make_model


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_image_is_read(make: Any, kind: str) -> None:
    answer = make(toys.reader(), toys.READER, toys.LABELS).infer_image(toys.picture("CABBA", kind, step=3))
    assert answer["text"].tolist() == ["CABBA"]
    assert answer["confidence"][0] > 0.5


NORMALIZED = (
    {"op": "normalize", "mean": [0.0] * 3, "std": [1.0] * 3},
    {"op": "layout", "color": "RGB", "order": "NCHW"},
)
LETTERBOX = (
    {"op": "decode"},
    {"op": "resize", "width": 64, "height": 64, "fit": "contain"},
    {"op": "pad", "width": 64, "height": 64},
    *NORMALIZED,
)
COLOURS = ("red", "green", "blue")


def test_an_image_is_classified(make: Any) -> None:
    post = ({"op": "softmax"}, {"op": "top_k", "k": 2})
    pipeline = Pipeline(({"op": "decode"}, {"op": "crop", "width": 70, "height": 9}, *NORMALIZED), post)
    model = make(toys.brightest(), pipeline, COLOURS)
    model.warm_up()
    answer = model.infer_image(toys.png(np.full((90, 80, 3), (0, 255, 100), np.uint8)))
    assert answer["label"].tolist() == ["green", "blue"]
    assert answer["score"][0] == pytest.approx(np.e / (1 + np.e + np.exp(100 / 255)), rel=1e-4)


@pytest.mark.parametrize("way", [{}, {"channels_first": True}, {"apart": True}])
def test_things_are_found_where_they_lie_in_the_image_that_was_sent(make: Any, way: Any) -> None:
    apart = {"boxes": "places", "scores": "means"} if way.get("apart") else {}
    detect = {"op": "detections", "coordinates": "xywh", **apart}
    post = (detect, {"op": "threshold", "min_score": 0.5}, {"op": "nms", "iou": 0.5})
    model = make(toys.detector(64, 8, **way), Pipeline(LETTERBOX, post), COLOURS)
    model.warm_up()
    # 256 x 128 becomes 64 x 32 below 16 rows of padding: a cell of 8 pixels is 32 of the image's.
    pixels = np.zeros((128, 256, 3), np.uint8)
    pixels[32:64, 64:96, 0] = 255
    pixels[96:128, 224:256, 2] = 200
    answer = model.infer_image(toys.png(pixels))
    assert answer["label"].tolist() == ["red", "blue"]
    np.testing.assert_allclose(answer["boxes"], [[64, 32, 96, 64], [224, 96, 256, 128]], atol=1)
    assert model.infer_image(toys.png(np.zeros((9, 9, 3), np.uint8)))["boxes"].shape == (0, 4)


def test_warming_up_shows_scores_that_do_not_fit_the_labels(make: Any) -> None:
    with pytest.raises(BackendError, match=r"toy 1\.2\.0: top_k: .* expected \[1, 2\]"):
        make(toys.brightest(), Pipeline(LETTERBOX, ({"op": "top_k"},)), ("a", "b")).warm_up()


def test_tensors_pass_a_pipeline_by(make: Any) -> None:
    outputs = make(toys.reader(), toys.READER, toys.LABELS).infer({"x": np.ones((2, 3, 8, 5), np.float32)})
    assert outputs["probabilities"].shape == (2, 5, 4)


def test_a_failing_inference_names_model_version_and_shape(make: Any) -> None:
    model = make(toys.reader(widest=16), toys.READER, toys.LABELS)
    assert model.infer_image(toys.picture("ABC"))["text"][0] == "ABC"
    with pytest.raises(
        BackendError, match=r"^toy 1\.2\.0 failed on the input x \[1, 3, 8, 20\] \(.*Add"
    ) as caught:
        model.infer_image(toys.picture("ABCAB"))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "'x' is missing"),
        ({"x": np.zeros((1, 3), np.float32), "z": np.zeros(1)}, "'z' is unknown"),
        ({"x": np.zeros((1, 3))}, r"'x' is FP64 \[1, 3\]"),
        ({"x": np.zeros((1, 4), np.float32)}, r"'x' is FP32 \[1, 4\]"),
        ({"x": np.zeros(3, np.float32)}, r"'x' is FP32 \[3\]"),
    ],
)
def test_wrong_tensors_are_refused_with_what_is_expected(make: Any, feeds: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make(toys.add_one()).infer(feeds)
    assert "toy 1.2.0 takes x FP32 [-1, 3]" in caught.value.message


def test_a_model_without_a_pipeline_takes_no_images(make: Any) -> None:
    with pytest.raises(InputError, match="takes no images"):
        make(toys.add_one()).infer_image(toys.picture("A"))


def test_a_pipeline_needs_a_model_with_one_input(make: Any) -> None:
    with pytest.raises(InputError, match="2 inputs"):
        make(toys.sum_of_two(), Pipeline(toys.READER.pre, ()))


def test_warming_up_shows_labels_that_do_not_fit(make: Any) -> None:
    with pytest.raises(BackendError, match=r"toy 1\.2\.0: ctc_text"):
        make(toys.reader(), toys.READER, ("A", "B")).warm_up()


def test_warming_up_finds_an_input_for_every_kind_of_model(make: Any) -> None:
    for graph in (toys.add_one(), toys.sum_of_two(), toys.echo(TensorProto.STRING, [2]), toys.reader()):
        assert make(graph).warm_up() >= 0
    assert make(toys.reader(), toys.READER, toys.LABELS).warm_up() > 0
