"""Answers that were given before, by what was asked."""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from typing import Any, Callable, Dict, Hashable, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

import numpy as np

from edgeai_runtime.backends.base import Tensors

LIMIT = 100_000_000  # bytes
WHOLE = 8 << 10  # bytes of a part up to which all of it is hashed
BLOCKS = 64  # whose weighted sums are, of a larger one: that is several times as fast
OVERHEAD = 1000  # bytes that an entry takes besides, about
REMEMBERED = 4096  # questions that were asked once, at least; twice as many at most


class Question(NamedTuple):
    """All that an answer depends on: `meta` (the model as it was loaded, names, datatypes, shapes, outputs
    wanted, parameters) and the inputs' bytes, as views of what was received until it is kept.
    """

    meta: Hashable
    data: Tuple[Union[bytes, memoryview], ...]

    def fingerprint(self) -> int:
        """Finds an entry; whether it is the same question is decided by all bytes."""
        parts = [bytes(part) if len(part) <= WHOLE else _summary(part) for part in self.data]
        return hash((self.meta, *parts))

    def same(self, other: Question) -> bool:
        """Whether it is asked the same."""
        return self.kept() == other.kept()  # bytes are compared at once, views one by one

    def kept(self) -> Question:
        """With bytes of its own."""
        return Question(self.meta, tuple([bytes(part) for part in self.data]))


class _Entry(NamedTuple):
    question: Question
    answer: Tensors
    size: int


class Cache:
    """The least recently used go first when `limit` bytes are full. It belongs to the event loop.

    A question is compared with the one that was answered byte for byte, which is surer than any digest of
    it and ten times as fast; what that costs is that the question is kept, and counted, with its answer.
    So only what is asked for the second time is kept: a camera that never sends the same picture twice
    fills nothing. The same question that is being answered already is not asked twice.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.size = 0
        self.evictions = 0
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._asked: Dict[int, Tuple[Question, List[Callable[[Any], None]]]] = {}
        self._once: Set[int] = set()  # fingerprints
        self._once_earlier: Set[int] = set()

    def is_asked(self, fingerprint: int) -> bool:
        """Whether a question like this is being answered."""
        return fingerprint in self._asked

    def find(self, question: Question, fingerprint: int) -> Optional[Tensors]:
        """The answer that was given, or None."""
        entry = self._entries.get(fingerprint)
        if entry is None or not entry.question.same(question):
            return None
        self._entries.move_to_end(fingerprint)
        return entry.answer

    def join(self, question: Question, fingerprint: int, done: Callable[[Any], None]) -> bool:
        """Whether it is being answered already; then `done` gets the same answer.

        Where it is not, whoever asks has to `settle` it.
        """
        waiting = self._asked.get(fingerprint)
        if waiting is None:
            self._asked[fingerprint] = (question, [done])
            return False
        if not waiting[0].same(question):
            return False
        waiting[1].append(done)
        return True

    def settle(self, question: Question, fingerprint: int, done: Callable[[Any], None], answer: Any) -> None:
        """Tell all who wait what the answer is, and keep it where it was asked for before and is no error."""
        waiting = self._asked.get(fingerprint)
        everyone: Sequence[Callable[[Any], None]] = [done]
        if waiting is not None and waiting[0] is question:
            everyone = self._asked.pop(fingerprint)[1]
        if not isinstance(answer, Exception):
            self.keep(question, fingerprint, answer, len(everyone) > 1)
        for one in everyone:
            one(answer)

    def keep(self, question: Question, fingerprint: int, answer: Tensors, again: bool = False) -> None:
        """Keep an answer, where the question was asked before, or `again` meanwhile."""
        if self._seen(fingerprint) or again:
            self._put(question.kept(), fingerprint, answer)

    def _seen(self, fingerprint: int) -> bool:
        """Whether it was settled before, not too long ago; from now on it was."""
        if fingerprint in self._once or fingerprint in self._once_earlier:
            return True
        self._once.add(fingerprint)
        if len(self._once) >= REMEMBERED:
            self._once, self._once_earlier = set(), self._once
        return False

    def _put(self, question: Question, fingerprint: int, answer: Tensors) -> None:
        # A row of a batch is a view that would keep the whole batch.
        kept = {name: value if value.base is None else value.copy() for name, value in answer.items()}
        size = OVERHEAD + sum(map(len, question.data)) + sum(map(_size, kept.values()))
        if size > self.limit:
            return
        old = self._entries.pop(fingerprint, None)
        self.size += size - (old.size if old else 0)
        self._entries[fingerprint] = _Entry(question, kept, size)
        while self.size > self.limit:
            _fingerprint, leaving = self._entries.popitem(last=False)
            self.size -= leaving.size
            self.evictions += 1


def _summary(part: Union[bytes, memoryview]) -> Tuple[int, bytes, bytes]:
    """Of many bytes a few, which are others wherever one of them is another."""
    size = len(part) // (8 * BLOCKS)
    words = np.frombuffer(part, np.uint64, size * BLOCKS).reshape(BLOCKS, size)
    return len(part), (words @ _weights(size)).tobytes(), bytes(part[8 * size * BLOCKS :])


@lru_cache(maxsize=16)
def _weights(count: int) -> np.ndarray[Any, Any]:
    """Odd numbers, so that no word's bits are lost; uint64 [count]."""
    drawn = np.random.default_rng(1).integers(0, 1 << 63, count, dtype=np.uint64)
    odd: np.ndarray[Any, Any] = 2 * drawn + 1
    return odd


def _size(array: np.ndarray[Any, Any]) -> int:
    if array.dtype.kind == "O":
        return sum(len(value) for value in array.flat)
    return array.nbytes
