from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeai_runtime.errors import BackendError
from edgeai_runtime.serving.boxes import detections, nms
from edgeai_runtime.serving.geometry import Geometry

LABELS = ("bolt", "nut")
SAME = Geometry((100, 80), (100, 80))
# Centre, size, scores of the two classes.
ROWS = np.asarray([[[50, 40, 20, 10, 0.9, 0.1], [10, 10, 10, 10, 0.2, 0.6]]], np.float32)
CORNERS = [[40, 35, 60, 45], [5, 5, 15, 15]]


def test_both_layouts_of_one_output_are_read() -> None:
    for found in (ROWS, ROWS.transpose(0, 2, 1)):
        answer = detections({"y": found}, LABELS, SAME, "xywh")
        assert answer["boxes"].tolist() == CORNERS
        assert answer["label"].tolist() == ["bolt", "nut"]
        assert answer["index"].tolist() == [0, 1]
        np.testing.assert_allclose(answer["score"], [0.9, 0.6])
        assert [answer[name].dtype for name in ("boxes", "score", "index", "label")] == [
            np.float32,
            np.float32,
            np.int64,
            np.object_,
        ]


def test_separate_outputs_corners_and_shares_are_read() -> None:
    shares = np.asarray([CORNERS], np.float32) / np.asarray([100, 80, 100, 80], np.float32)
    outputs = {"s": ROWS[:, :, 4:].transpose(0, 2, 1), "b": shares}
    answer = detections(outputs, LABELS, SAME, "xyxy", boxes="b", scores="s", relative=True)
    np.testing.assert_allclose(answer["boxes"], CORNERS, rtol=1e-6)
    assert answer["label"].tolist() == ["bolt", "nut"]


def test_objectness_multiplies_the_scores() -> None:
    rows = np.insert(ROWS, 4, 0.5, axis=2)
    np.testing.assert_allclose(
        detections({"y": rows}, LABELS, SAME, "xywh", objectness=True)["score"], [0.45, 0.3]
    )


def test_boxes_are_cut_at_the_images_edges_and_dropped_beyond_them() -> None:
    geometry = Geometry((50, 20), (50, 20)).moved(0, 15, (50, 50))
    boxes = np.asarray([[[-5, 10, 20, 30], [0, 0, 50, 15], [np.nan, 0, 9, 20]]], np.float32)
    outputs = {"b": boxes, "s": np.ones((1, 3, 2), np.float32)}
    assert detections(outputs, LABELS, geometry, "xyxy", "b", "s")["boxes"].tolist() == [[0, 0, 20, 15]]


@pytest.mark.parametrize(
    ("outputs", "parameters", "message"),
    [
        ({"y": ROWS[:, :, :5]}, {}, r"y has shape \[1, 2, 5\], expected \[1, N, 6\] or \[1, 6, N\]"),
        ({"y": np.repeat(ROWS, 2, axis=0)}, {}, r"y has shape \[2, 2, 6\]"),
        ({"y": ROWS}, {"boxes": "b", "scores": "y"}, "has no output 'b', only y"),
        (
            {"b": ROWS[:, :, :4], "s": np.ones((1, 3, 2), np.float32)},
            {"boxes": "b", "scores": "s"},
            "b has 2 candidates and s has 3",
        ),
    ],
)
def test_outputs_of_another_shape_are_refused(outputs: Any, parameters: Any, message: str) -> None:
    with pytest.raises(BackendError, match=f"^detections: .*{message}"):
        detections(outputs, LABELS, SAME, "xywh", **parameters)


def candidates(boxes: Any, score: Any, index: Any) -> Any:
    return {
        "boxes": np.asarray(boxes, np.float32).reshape(-1, 4),
        "score": np.asarray(score, np.float32),
        "index": np.asarray(index, np.int64),
    }


def test_the_best_of_what_overlaps_stays_within_each_class() -> None:
    place, near, far = [0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30]
    found = nms(candidates([place, near, far, near], [0.5, 0.8, 0.6, 0.4], [0, 0, 0, 1]), iou=0.5)
    assert found["boxes"].tolist() == [near, far, near]
    np.testing.assert_allclose(found["score"], [0.8, 0.6, 0.4])
    assert found["index"].tolist() == [0, 0, 1]


def test_boxes_that_overlap_by_the_limit_and_no_more_stay() -> None:
    pair = candidates([[0, 0, 10, 10], [0, 0, 10, 5]], [0.9, 0.8], [0, 0])
    assert len(nms(pair, iou=0.5)["boxes"]) == 2
    assert len(nms(pair, iou=0.49)["boxes"]) == 1


def test_there_may_be_too_many_boxes_and_none() -> None:
    apart = [[20 * i, 0, 20 * i + 10, 10] for i in range(9)]
    assert nms(candidates(apart, np.arange(9), [0] * 9), 0.5, max_boxes=2)["score"].tolist() == [8, 7]
    assert nms(candidates([], [], []), 0.5)["boxes"].shape == (0, 4)


def test_nms_agrees_with_its_definition_one_pair_at_a_time() -> None:
    draw = np.random.default_rng(5)
    corner, size = draw.uniform(0, 60, (200, 2)), draw.uniform(5, 40, (200, 2))
    given = candidates(np.hstack([corner, corner + size]), draw.random(200), draw.integers(0, 3, 200))
    kept: Any = []
    for row in np.argsort(-given["score"]):
        if all(
            given["index"][row] != given["index"][other]
            or overlap(given["boxes"][row], given["boxes"][other]) <= 0.4
            for other in kept
        ):
            kept.append(row)
    np.testing.assert_array_equal(nms(given, 0.4)["boxes"], given["boxes"][kept])


def overlap(one: Any, other: Any) -> float:
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(np.prod(sides.clip(0)))
    return shared / (float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])) - shared)
