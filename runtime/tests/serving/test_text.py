from __future__ import annotations

from pathlib import Path
from typing import Any, List

import numpy as np
import pytest

from edgeai_runtime.errors import BackendError, InputError
from edgeai_runtime.serving.text import ctc_text, read_labels


def scores(classes: List[int], probability: float = 0.9, count: int = 4) -> Any:
    array = np.full((len(classes), count), (1 - probability) / (count - 1), np.float32)
    array[np.arange(len(classes)), classes] = probability
    return array


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        ([1, 2, 3], "ABC"),
        ([1, 1, 1], "A"),
        ([1, 0, 1], "AA"),
        ([0, 0, 2, 2, 0, 0], "B"),
        ([0, 0], ""),
        ([3], "C"),
    ],
)
def test_repeats_are_one_and_blanks_go(classes: List[int], text: str) -> None:
    answer = ctc_text({"y": scores(classes)[np.newaxis]}, ("A", "B", "C"))
    assert answer["text"].tolist() == [text]


def test_confidence_is_the_mean_over_the_characters() -> None:
    steps = np.concatenate([scores([1], 0.9), scores([1], 0.5), scores([0], 0.6), scores([2], 0.7)])
    confidence = ctc_text({"y": steps[np.newaxis]}, ("A", "B", "C"))["confidence"]
    assert confidence.dtype == np.float32
    np.testing.assert_allclose(confidence, [0.8], rtol=1e-6)


def test_an_empty_text_has_no_confidence_and_a_batch_has_a_text_each() -> None:
    batch = np.stack([scores([0, 0]), scores([2, 0])])
    answer = ctc_text({"y": batch}, ("A", "B", "C"))
    assert answer["text"].tolist() == ["", "B"]
    assert answer["confidence"][0] == 0


def test_labels_that_do_not_fit_the_model_are_named() -> None:
    with pytest.raises(BackendError, match=r"\[1, 1, 4\], expected \[N, T, 3\] for 2 labels"):
        ctc_text({"y": scores([0])[np.newaxis]}, ("A", "B"))


def test_labels_keep_their_spaces_and_odd_characters(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes("A\r\n\u2028\n \n".encode())
    assert read_labels(file) == ("A", "\u2028", " ")


def test_broken_labels_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        read_labels(tmp_path / "labels.txt")
    with pytest.raises(InputError, match="missing"):
        read_labels(tmp_path / "none.txt")
