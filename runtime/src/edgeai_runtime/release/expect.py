"""What a sample expects, and whether an answer is it.

An answer is the data of the runtime's outputs by their names, as the inference protocol's JSON has it.
"""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence, Tuple, Union

from edgeai_runtime.errors import InputError
from edgeai_runtime.strict import NUMBERS, check_keys, typed

# A text or a label; or, for a detector, every {"label": text, "box": [x1, y1, x2, y2]} in pixels.
Expected = Union[str, Tuple[Mapping[str, Any], ...]]

# The outputs that a sample is compared with.
ANSWERS = ("text", "label", "boxes")
_SAME_PLACE = 0.5


def read_expected(table: Mapping[str, Any], origin: str) -> Expected:
    """The value of `expect` in a sample; raises InputError."""
    value = table["expect"]
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise InputError(
            f'{origin}: \'expect\' is {value!r}, expected text or a list of {{"label", "box"}}; correct it.'
        )
    for thing in value:
        if not isinstance(thing, dict):
            raise InputError(f'{origin}: {thing!r} is no {{"label": "…", "box": […]}}; correct the sample.')
        check_keys(thing, ["label", "box"], origin=origin)
        typed(thing, "label", str, origin)
        box = typed(thing, "box", list, origin)
        numeric = all(isinstance(v, NUMBERS) and not isinstance(v, bool) for v in box)
        if len(box) != 4 or not numeric or not (box[0] < box[2] and box[1] < box[3]):
            raise InputError(
                f"{origin}: 'box' is {box!r}, expected [left, top, right, bottom] in pixels; correct it."
            )
    return tuple(value)


def is_right(expected: Expected, answer: Mapping[str, Sequence[Any]]) -> bool:
    """Whether an answer is exactly what is expected.

    A text, or the first label ("" where none passed the threshold), is equal; boxes are as many, each
    expected one found by one of its label with an intersection over union of at least 0.5.
    """
    if isinstance(expected, str):
        told = answer.get("text", answer.get("label"))
        return told is not None and str(next(iter(told), "")) == expected
    corners = answer["boxes"]
    left: List[Tuple[str, Sequence[float]]] = [
        (str(label), corners[4 * row : 4 * row + 4]) for row, label in enumerate(answer["label"])
    ]
    if len(left) != len(expected):
        return False
    for thing in expected:
        found = max(left, key=lambda it: _overlap(it[1], thing["box"]) if it[0] == thing["label"] else 0.0)
        if found[0] != thing["label"] or _overlap(found[1], thing["box"]) < _SAME_PLACE:
            return False
        left.remove(found)
    return True


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes (x1, y1, x2, y2)."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
