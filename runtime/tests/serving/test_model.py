from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, Sequence

import numpy as np
import pytest
import toys
from onnx import TensorProto

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
        return Model("toy", "1.2.0", "onnxruntime", OnnxBackend.load(file, 1), pipeline, labels)

    return make_model


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_image_is_read(make: Any, kind: str) -> None:
    answer = make(toys.reader(), toys.READER, toys.LABELS).infer_image(toys.picture("CABBA", kind, step=3))
    assert answer["text"].tolist() == ["CABBA"]
    assert answer["confidence"][0] > 0.5


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
