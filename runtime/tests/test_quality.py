"""What each measure of quality says of answers, by hand."""

from __future__ import annotations

from typing import Any, List, Tuple

import pytest

from edgeai_runtime.release import quality

BOX, BESIDE, AWAY = [0, 0, 10, 10], [0, 0, 10, 8], [50, 50, 60, 60]
SCREW = {"label": "screw", "box": BOX}


def found(*things: Tuple[str, List[float], float]) -> Any:
    return {
        "label": [label for label, _box, _score in things],
        "boxes": [side for _label, box, _score in things for side in box],
        "score": [score for _label, _box, score in things],
    }


@pytest.mark.parametrize(
    ("name", "pairs", "value"),
    [
        ("exact_match", [("A", {"text": ["A"]}), ("B", {"text": ["A"]}), ("C", None)], 1 / 3),
        ("top_k", [("A", {"label": ["B", "A"]}), ("C", {"label": ["B", "A"]}), ("A", None)], 1 / 3),
        ("character_accuracy", [("ABCD", {"text": ["ABXD"]}), ("EFGH", {"text": ["EFG"]})], 6 / 8),
        ("character_accuracy", [("AB", {"text": ["ABCDEFG"]})], 0.0),
        ("character_accuracy", [("AB", None), ("CD", {"text": ["CD"]})], 0.5),
        ("agreement", [({"y": [[1.0, -100.0]]}, {"y": [1.9, -100.0]})], 1.0),
        ("agreement", [({"y": [[1.0, -100.0]]}, {"y": [2.1, -100.0]})], 0.5),
        ("agreement", [({"y": [1, 2], "z": ["a"]}, {"y": [1, 3], "z": ["a"]}), ({"y": [1]}, None)], 1 / 3),
        ("agreement", [({"y": [1.0]}, {"y": [1.0, 1.0]})], 0.0),
        ("agreement", [({"y": [1.0, 1.0]}, {"y": [None, 1.0]})], 0.5),
        ("mean_average_precision", [((SCREW,), found(("screw", BESIDE, 0.9)))], 1.0),
        ("mean_average_precision", [((SCREW,), found(("screw", AWAY, 0.9)))], 0.0),
        ("mean_average_precision", [((SCREW,), found(("nut", BOX, 0.9)))], 0.0),
        # A wrong one above the right one: at the only recall the precision is a half.
        ("mean_average_precision", [((SCREW,), found(("screw", AWAY, 0.9), ("screw", BOX, 0.8)))], 0.5),
        ("mean_average_precision", [((SCREW,), found(("screw", BOX, 0.9), ("screw", AWAY, 0.8)))], 1.0),
        # Found twice is once wrong, below what is right.
        ("mean_average_precision", [((SCREW,), found(("screw", BOX, 0.9), ("screw", BOX, 0.8)))], 1.0),
        ("mean_average_precision", [((SCREW,), found(("screw", BOX, 0.9))), ((SCREW,), None)], 0.5),
        ("mean_average_precision", [((), found())], 1.0),
    ],
)
def test_a_measure_is_what_its_definition_says(name: str, pairs: Any, value: float) -> None:
    measured = quality(name)
    for expected, answer in pairs:
        measured.add(expected, answer)
    assert measured.value() == pytest.approx(value)
