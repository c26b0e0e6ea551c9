"""From a detector's output to boxes in the image that was sent.

Each operation sees the answer to one image.
"""

from __future__ import annotations

from typing import Any, List, Optional, Sequence

import numpy as np

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.errors import BackendError
from edgeai_runtime.serving.geometry import Geometry
from edgeai_runtime.serving.scores import chosen, labels_of, output_name


def detections(
    outputs: Tensors,
    labels: Sequence[str],
    geometry: Geometry,
    coordinates: str,
    boxes: Optional[str] = None,
    scores: Optional[str] = None,
    objectness: bool = False,
    relative: bool = False,
) -> Tensors:
    """Every candidate's box and likeliest class, as the model lists them.

    The first output has four coordinates and C scores for each of N candidates, [1, N, 4 + C] or
    [1, 4 + C, N], with `objectness` one more before the scores, which it multiplies; or the outputs named
    `boxes` and `scores` have them apart. `coordinates`: xywh (centre, width, height) or xyxy (two
    corners), in pixels of the model's input or, with `relative`, in shares of its width and height.
    Gives `boxes` (FP32 [n, 4]: x1, y1, x2, y2 in pixels of the image that was sent, cut at its edges),
    `score` (FP32 [n]), `index` (INT64 [n]), `label` (BYTES [n]); what lies wholly in the padding is
    dropped. Raises BackendError when the outputs have other shapes.
    """
    if boxes is None:
        name = output_name(outputs, None, "detections")
        rows = _rows(outputs[name], 4 + objectness + len(labels), name)
        places, likely = rows[:, :4], rows[:, 4 + objectness :]
        if objectness:
            likely = likely * rows[:, 4:5]
    else:
        places = _rows(outputs[output_name(outputs, boxes, "detections")], 4, boxes)
        name = output_name(outputs, scores, "detections")
        likely = _rows(outputs[name], len(labels), name)
        if len(places) != len(likely):
            raise BackendError(
                f"detections: {boxes} has {len(places)} candidates and {name} has {len(likely)}; "
                "correct the pipeline of the release."
            )
    if relative:
        places = places * np.asarray(geometry.size * 2, np.float32)
    if coordinates == "xywh":
        half = places[:, 2:] / 2
        places = np.concatenate([places[:, :2] - half, places[:, :2] + half], axis=1)
    index = likely.argmax(axis=1)
    found = geometry.to_source(places)
    answer = {
        "boxes": found,
        "score": likely[np.arange(len(likely)), index],
        "index": index.astype(np.int64),
        "label": labels_of(index, labels),
    }
    return chosen(answer, (found[:, :2] < found[:, 2:]).all(axis=1))


def nms(found: Tensors, iou: float, max_boxes: int = 300) -> Tensors:
    """Non-maximum suppression within each class: the best boxes first, at most `max_boxes` of them.

    A box goes when it overlaps a better one of its class by more than `iou` (intersection over union).
    """
    order = np.argsort(-found["score"], kind="stable")
    # Plain columns: arithmetic over a last axis of four or two is several times slower.
    x1, y1, x2, y2 = np.ascontiguousarray(found["boxes"][order].T)
    classes = found["index"][order]
    areas = (x2 - x1) * (y2 - y1)
    left: np.ndarray[Any, Any] = np.ones(len(order), dtype=np.bool_)
    kept: List[int] = []
    for best in range(len(order)):
        if len(kept) == max_boxes:
            break
        if not left[best]:
            continue
        kept.append(best)
        rest = slice(best + 1, None)
        width = np.minimum(x2[rest], x2[best]) - np.maximum(x1[rest], x1[best])
        height = np.minimum(y2[rest], y2[best]) - np.maximum(y1[rest], y1[best])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        overlaps = shared > iou * (areas[rest] + areas[best] - shared)
        left[rest] &= ~(overlaps & (classes[rest] == classes[best]))
    return chosen(found, order[kept])


def _rows(array: np.ndarray[Any, Any], columns: int, name: str) -> np.ndarray[Any, Any]:
    """A candidate a row, float32 [N, columns]; the last axis is a candidate's where both could be."""
    if array.ndim == 3 and array.shape[0] == 1:
        for rows in (array[0], array[0].T):
            if rows.shape[1] == columns:
                listed: np.ndarray[Any, Any] = np.ascontiguousarray(rows, dtype=np.float32)
                return listed
    raise BackendError(
        f"detections: the output {name} has shape {list(array.shape)}, expected [1, N, {columns}] or "
        f"[1, {columns}, N]; correct the labels or the pipeline of the release."
    )
