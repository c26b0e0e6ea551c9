"""Samples as what a model takes."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterator, Sequence

from edgeai_runtime.backends.base import Tensors


class Samples:
    """Each is read when it is asked for, however often: memory need not hold all of them."""

    def __init__(self, files: Sequence[Path], prepare: Callable[[bytes], Tensors]) -> None:
        """`prepare`: the bytes of a sample to the model's inputs by name."""
        self._files, self._prepare = files, prepare

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Tensors:
        return self._prepare(self._files[index].read_bytes())

    def __iter__(self) -> Iterator[Tensors]:
        return (self[index] for index in range(len(self)))
