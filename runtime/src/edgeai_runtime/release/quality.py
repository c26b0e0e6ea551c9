"""How good answers are: a figure from 0 to 1, by the name of the gate that a release sets for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from typing import Callable, DefaultDict, Dict, List, Optional, Tuple, Type, Union

from edgeai_runtime.release.expect import (
    SAME_PLACE,
    Answer,
    Expected,
    agreeing,
    first_word,
    found_boxes,
    is_right,
    overlap,
)


class Quality(ABC):
    """Adds up over the samples of a set. No answer is a wrong one."""

    @abstractmethod
    def add(self, expected: Expected, answer: Optional[Answer]) -> None:
        """One sample; the answer is the data of its outputs, by their names."""

    @abstractmethod
    def value(self) -> float:
        """From 0 to 1, of what was added; 1 is best."""


class _Share(Quality):
    """The mean of what each sample is worth."""

    def __init__(self, worth: Callable[[Expected, Answer], float]) -> None:
        self._worth = worth
        self._sum, self._count = 0.0, 0

    def add(self, expected: Expected, answer: Optional[Answer]) -> None:
        self._count += 1
        self._sum += 0.0 if answer is None else self._worth(expected, answer)

    def value(self) -> float:
        return self._sum / self._count


class _Characters(Quality):
    """1 - CER, the character error rate: insertions, deletions and substitutions of all texts together by
    the number of characters expected."""

    def __init__(self) -> None:
        self._edits = self._characters = 0

    def add(self, expected: Expected, answer: Optional[Answer]) -> None:
        text = str(expected)
        self._characters += len(text)
        self._edits += len(text) if answer is None else _distance(text, first_word(answer))

    def value(self) -> float:
        return max(0.0, 1.0 - self._edits / max(1, self._characters))


class _Precision(Quality):
    """The mean over the labels of their average precision at an overlap of 0.5, with all points interpolated,
    as PASCAL VOC has it since 2010 (Everingham et al., "The PASCAL Visual Object Classes Challenge: A
    Retrospective", 2015)."""

    def __init__(self) -> None:
        self._wanted: DefaultDict[str, int] = defaultdict(int)
        self._found: DefaultDict[str, List[Tuple[float, bool]]] = defaultdict(list)

    def add(self, expected: Expected, answer: Optional[Answer]) -> None:
        left = [(thing["label"], thing["box"]) for thing in expected if not isinstance(thing, str)]
        for label, _box in left:
            self._wanted[label] += 1
        things = sorted(found_boxes(answer or {}), key=lambda thing: -thing[2])
        for label, box, score in things:
            near = [(overlap(one[1], box), one) for one in left if one[0] == label]
            shared, nearest = max(near, default=(0.0, None))
            hit = nearest is not None and shared >= SAME_PLACE
            if nearest is not None and hit:
                left.remove(nearest)
            self._found[label].append((score, hit))

    def value(self) -> float:
        """Also what is found of a label that is nowhere expected counts against it."""
        labels = {*self._wanted, *self._found}
        if not labels:
            return 1.0  # there was nothing to find, and nothing was found
        return sum(self._average(label) for label in labels) / len(labels)

    def _average(self, label: str) -> float:
        wanted, right = self._wanted[label], 0
        points: List[Tuple[float, float]] = []
        for count, (_score, hit) in enumerate(sorted(self._found[label], key=lambda one: -one[0]), 1):
            right += hit
            points.append((right / max(1, wanted), right / count))
        area = ceiling = 0.0
        for index in range(len(points) - 1, -1, -1):
            recall, precision = points[index]
            ceiling = max(ceiling, precision)
            area += (recall - (points[index - 1][0] if index else 0.0)) * ceiling
        return area


def _top_k(expected: Expected, answer: Answer) -> float:
    return float(expected in answer.get("label", ()))


def _agreement(expected: Expected, answer: Answer) -> float:
    right, count = agreeing(expected, answer) if isinstance(expected, dict) else (0, 1)
    return right / max(1, count)


EXACT_MATCH = "exact_match"
# What a sample of it expects; None: whatever it is.
_KINDS: Dict[str, Union[Type[str], Type[tuple], Type[dict], None]] = {  # type: ignore[type-arg]
    EXACT_MATCH: None,
    "character_accuracy": str,
    "top_k": str,
    "mean_average_precision": tuple,
    "agreement": dict,
}
QUALITIES = tuple(_KINDS)


def quality(name: str) -> Quality:
    """The measure of this name."""
    if name == "character_accuracy":
        return _Characters()
    if name == "mean_average_precision":
        return _Precision()
    worths: Dict[str, Callable[[Expected, Answer], float]] = {
        EXACT_MATCH: is_right,
        "top_k": _top_k,
        "agreement": _agreement,
    }
    return _Share(worths[name])


def fits(name: str, expected: Expected) -> bool:
    """Whether a sample that expects this can be measured so."""
    kind = _KINDS[name]
    return kind is None or isinstance(expected, kind)


def _distance(one: str, other: str) -> int:
    """Levenshtein's: the fewest characters to insert, delete or substitute."""
    row = list(range(len(other) + 1))
    for above, first in enumerate(one, 1):
        diagonal, row[0] = row[0], above
        for place, second in enumerate(other, 1):
            diagonal, row[place] = (
                row[place],
                min(row[place] + 1, row[place - 1] + 1, diagonal + (first != second)),
            )
    return row[-1]
