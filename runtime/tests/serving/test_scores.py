from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeai_runtime.errors import BackendError
from edgeai_runtime.serving import scores

LABELS = ("red", "green", "blue")


def one(*values: float) -> Any:
    return {"y": np.asarray([values], np.float32)}


def test_sigmoid_and_softmax_are_their_formulas_and_overflow_nowhere() -> None:
    np.testing.assert_allclose(scores.sigmoid(one(0, 2, -1000))["y"], [[0.5, 0.8807971, 0]], rtol=1e-5)
    np.testing.assert_allclose(scores.softmax(one(1000, 1000))["y"], [[0.5, 0.5]])
    assert scores.softmax(one(1, 2, 3))["y"].dtype == np.float32


def test_an_operation_changes_the_output_it_names_and_leaves_the_others() -> None:
    outputs = {"a": np.zeros((1, 2), np.float32), "b": np.zeros((1, 2), np.float16)}
    changed = scores.sigmoid(outputs, output="b")
    assert list(changed) == ["a", "b"]
    assert changed["a"] is outputs["a"]
    assert changed["b"].tolist() == [[0.5, 0.5]]
    with pytest.raises(BackendError, match="softmax: the model has no output 'c', only a, b"):
        scores.softmax(outputs, output="c")


def test_the_best_classes_come_first_each_with_label_score_and_index() -> None:
    answer = scores.top_k(one(0.1, 0.7, 0.2), LABELS, k=2)
    assert {name: array.tolist() for name, array in answer.items()} == {
        "label": ["green", "blue"],
        "score": pytest.approx([0.7, 0.2]),
        "index": [1, 2],
    }
    assert [answer[name].dtype for name in answer] == [np.object_, np.float32, np.int64]
    assert len(scores.top_k(one(1, 2, 3), LABELS, k=9)["label"]) == 3


def test_equal_scores_keep_the_order_of_the_labels() -> None:
    assert scores.top_k(one(1, 1, 1), LABELS, k=3)["index"].tolist() == [0, 1, 2]


def test_a_score_for_each_label_is_needed() -> None:
    with pytest.raises(BackendError, match=r"top_k: the output y has shape \[1, 2\], expected \[1, 3\]"):
        scores.top_k(one(1, 2), LABELS)


def test_a_threshold_keeps_what_reaches_it() -> None:
    answer = scores.threshold(scores.top_k(one(0.5, 0.2, 0.3), LABELS, k=3), min_score=0.3)
    assert answer["label"].tolist() == ["red", "blue"]
    assert scores.threshold(answer, min_score=0.9)["label"].shape == (0,)
