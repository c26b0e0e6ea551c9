"""What a sample expects, and whether an answer is it.

An answer is the data of the runtime's outputs by their names, as the inference protocol's JSON has it.
"""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping, Sequence, Tuple, Union

from edgeai_runtime.errors import InputError
from edgeai_runtime.strict import NUMBERS, check_keys, typed

Answer = Mapping[str, Sequence[Any]]
# A text or a label; for a detector, every {"label": text, "box": [x1, y1, x2, y2]} in pixels; without an
# operation that makes an answer, the values of the model's outputs by their names, nested or not.
Expected = Union[str, Tuple[Mapping[str, Any], ...], Mapping[str, Any]]

# The outputs of a pipeline that a sample is compared with.
ANSWERS = ("text", "label", "boxes", "score")
SAME_PLACE = 0.5
_NEAR = 0.01  # of an output's largest value: so far from what is expected a number still agrees with it


def read_expected(table: Mapping[str, Any], origin: str) -> Expected:
    """The value of `expect` in a sample; raises InputError."""
    value = table["expect"]
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        for name, values in value.items():
            if not isinstance(values, list) or not all(map(_is_value, flat(values))):
                raise InputError(
                    f"{origin}: '{name}' of 'expect' is no list of numbers, booleans or texts; correct it."
                )
        if value:
            return value
    if not isinstance(value, list):
        raise InputError(
            f'{origin}: \'expect\' is {value!r}, expected text, a list of {{"label", "box"}} or an object '
            "of values by output; correct it."
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


def compared(expected: Expected) -> Tuple[str, ...]:
    """The names of the outputs that it is compared with, where an answer has them."""
    return tuple(expected) if isinstance(expected, Mapping) else ANSWERS


def is_right(expected: Expected, answer: Answer) -> bool:
    """Whether an answer is exactly what is expected.

    A text, or the first label ("" where none passed the threshold), is equal; boxes are as many, each
    expected one found by one of its label with an intersection over union of at least 0.5; all values of
    all outputs agree.
    """
    if isinstance(expected, str):
        return ("text" in answer or "label" in answer) and first_word(answer) == expected
    if isinstance(expected, Mapping):
        right, count = agreeing(expected, answer)
        return right == count
    left: List[Tuple[str, Sequence[float]]] = [(label, box) for label, box, _score in found_boxes(answer)]
    if len(left) != len(expected):
        return False
    for thing in expected:
        found = max(left, key=lambda it: overlap(it[1], thing["box"]) if it[0] == thing["label"] else 0.0)
        if found[0] != thing["label"] or overlap(found[1], thing["box"]) < SAME_PLACE:
            return False
        left.remove(found)
    return True


def first_word(answer: Answer) -> str:
    """The text of an answer, or its best label; "" where it has none."""
    return str(next(iter(answer.get("text", answer.get("label", ()))), ""))


def found_boxes(answer: Answer) -> Iterator[Tuple[str, Sequence[float], float]]:
    """Label, corners and score of each thing that a detector found."""
    corners, scores = answer.get("boxes", ()), answer.get("score", ())
    for row, label in enumerate(answer.get("label", ())):
        yield str(label), corners[4 * row : 4 * row + 4], scores[row] if row < len(scores) else 1.0


def agreeing(expected: Mapping[str, Any], answer: Answer) -> Tuple[int, int]:
    """How many of the expected values the outputs have, and how many there are.

    A number with a fraction agrees with one that is no further from it than a hundredth of the largest one of
    its output; all else with what is equal.
    """
    right = count = 0
    for name, nested in expected.items():
        wanted, found = list(flat(nested)), answer.get(name, ())
        count += len(wanted)
        if len(found) != len(wanted):
            continue
        numbers = [abs(value) for value in wanted if isinstance(value, float)]
        near = _NEAR * max(numbers, default=0.0)
        right += sum(_agrees(value, other, near) for value, other in zip(wanted, found))
    return right, count


def _agrees(wanted: Any, found: Any, near: float) -> bool:
    if isinstance(wanted, float) and isinstance(found, (int, float)):
        return abs(wanted - found) <= near
    return bool(wanted == found)


def flat(nested: Sequence[Any]) -> Iterator[Any]:
    """The values of nested lists, in their order."""
    for value in nested:
        if isinstance(value, list):
            yield from flat(value)
        else:
            yield value


def _is_value(value: Any) -> bool:
    return isinstance(value, (*NUMBERS, bool, str))


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes (x1, y1, x2, y2)."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
