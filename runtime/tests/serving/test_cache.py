"""The same question has the same answer, and is worked on once."""

from __future__ import annotations

from typing import Any, List

import numpy as np
import pytest

from edgeai_runtime.errors import BackendError
from edgeai_runtime.serving.cache import OVERHEAD, REMEMBERED, Cache, Question


def question(data: bytes, meta: str = "adder") -> Question:
    return Question(meta, (data,))


def answer(value: float = 1.0) -> Any:
    return {"y": np.asarray([value], np.float32)}


def put(cache: Cache, asked: Question, given: Any) -> List[Any]:
    """Ask, and settle it; what was told."""
    told: List[Any] = []
    assert not cache.join(asked, asked.fingerprint(), told.append)
    cache.settle(asked, asked.fingerprint(), told.append, given)
    return told


def keep(cache: Cache, asked: Question, given: Any) -> None:
    """Have an answer asked for as often as it takes to be kept."""
    for _turn in range(2):
        put(cache, asked, given)


def find(cache: Cache, asked: Question) -> Any:
    return cache.find(asked, asked.fingerprint())


def test_what_was_asked_twice_is_found_the_third_time() -> None:
    cache = Cache()
    given = answer()
    for _turn in range(2):
        assert find(cache, question(b"abc")) is None
        assert put(cache, question(b"abc"), given) == [given]
    assert find(cache, question(b"abc"))["y"].tolist() == [1.0]


def test_questions_that_never_come_again_take_no_room() -> None:
    cache = Cache()
    for number in range(10 * REMEMBERED):
        put(cache, question(number.to_bytes(4, "big")), answer())
    assert cache.size == 0
    assert len(cache._once) + len(cache._once_earlier) <= 2 * REMEMBERED


def test_a_question_is_remembered_though_others_come_between() -> None:
    cache = Cache()
    put(cache, question(b"abc"), answer())
    for number in range(REMEMBERED):
        put(cache, question(number.to_bytes(4, "big")), answer())
    put(cache, question(b"abc"), answer())
    assert find(cache, question(b"abc"))


def test_another_question_is_another_whatever_it_differs_in() -> None:
    cache = Cache()
    keep(cache, question(bytes(100_000)), answer())
    for position in (0, 1, 50_001, 99_999):
        other = bytearray(100_000)
        other[position] = 1
        assert find(cache, question(bytes(other))) is None
    assert find(cache, question(bytes(100_000), "divider")) is None
    assert find(cache, Question("adder", (bytes(50_000), bytes(50_000)))) is None


@pytest.mark.parametrize("scale", [1.0, 1 / 255], ids=["whole numbers", "shares"])
@pytest.mark.parametrize("shape", [(64,), (3, 48, 192)], ids=["small", "large"])
def test_many_alike_are_all_kept(shape: Any, scale: float) -> None:
    cache = Cache()
    draw = np.random.default_rng(1)
    pictures = [(draw.integers(0, 256, shape) * scale).astype(np.float32) for _number in range(30)]
    for place in range(30):  # and such as differ in one value
        pictures.append(np.zeros(shape, np.float32))
        pictures[-1].flat[place] = 1
    for number, picture in enumerate(pictures):
        keep(cache, question(picture.tobytes()), answer(number))
    for number, picture in enumerate(pictures):
        assert find(cache, question(picture.tobytes()))["y"].tolist() == [number]


def test_the_same_question_meanwhile_waits_for_the_one_answer() -> None:
    cache = Cache()
    asked, told = question(b"abc"), []  # type: ignore[var-annotated]
    assert not cache.join(asked, asked.fingerprint(), told.append)
    again = question(b"abc")
    assert cache.join(again, again.fingerprint(), told.append)
    given = answer()
    cache.settle(asked, asked.fingerprint(), told.append, given)
    assert told == [given, given]
    assert find(cache, question(b"abc")) is not None  # two have asked


def test_a_failure_is_told_to_all_and_not_kept() -> None:
    cache = Cache()
    failure = BackendError("it fails")
    for _turn in range(3):
        assert put(cache, question(b"abc"), failure) == [failure]
        assert find(cache, question(b"abc")) is None


def test_the_least_recently_used_go_first() -> None:
    size = OVERHEAD + 100 + 4
    cache = Cache(3 * size)
    asked = [question(bytes([number]) * 100) for number in range(4)]
    for one in asked[:3]:
        keep(cache, one, answer())
    assert find(cache, asked[0])
    keep(cache, asked[3], answer())
    assert [find(cache, one) is not None for one in asked] == [True, False, True, True]
    assert (cache.evictions, cache.size) == (1, 3 * size)


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache = Cache(10_000)
    keep(cache, question(bytes(20_000)), answer())
    assert (find(cache, question(bytes(20_000))), cache.size) == (None, 0)


def test_a_row_does_not_keep_its_batch() -> None:
    cache = Cache()
    batch = np.zeros((32, 1000), np.float32)
    keep(cache, question(b"abc"), {"y": batch[3:4]})
    assert cache.size == OVERHEAD + 3 + 4000
    assert find(cache, question(b"abc"))["y"].base is None
