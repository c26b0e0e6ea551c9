"""The shapes an engine is built for: smallest, most usual and largest of each input with free sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterable, List, Mapping, Sequence, Tuple

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.errors import ConvertError

Shape = Tuple[int, ...]


@dataclass(frozen=True)
class Profile:
    """Each element of `least` <= that of `best` <= that of `most`; the engine is fastest at `best`."""

    least: Shape
    best: Shape
    most: Shape


def profiles(
    inputs: Mapping[str, Shape], batches: Tuple[int, int, int], seen: Mapping[str, Sequence[Shape]]
) -> Dict[str, Profile]:
    """A profile for each of the `inputs` whose shape has a free side (-1).

    A free first side counts the rows of a batch: least, best and most of them are `batches`. The others are
    as long as in the shapes `seen` of that input. Raises ConvertError where these do not say it.
    """
    return {
        name: _profile(name, shape, batches, seen.get(name, ()))
        for name, shape in inputs.items()
        if -1 in shape
    }


def shapes_in(samples: Iterable[Tensors]) -> Dict[str, List[Shape]]:
    """The shapes that each input has in samples."""
    seen: Dict[str, List[Shape]] = {}
    for sample in samples:
        for name, tensor in sample.items():
            seen.setdefault(name, []).append(tensor.shape)
    return seen


def _profile(name: str, shape: Shape, batches: Tuple[int, int, int], seen: Sequence[Shape]) -> Profile:
    unfit = [one for one in seen if len(one) != len(shape)]
    if unfit:
        raise ConvertError(
            f"the input '{name}' has the shape {list(shape)}, a sample has {list(unfit[0])}; "
            "correct the samples."
        )
    sides: List[Tuple[int, int, int]] = []
    for axis, size in enumerate(shape):
        lengths = sorted(one[axis] for one in seen)
        if size != -1:
            sides.append((size, size, size))
        elif axis == 0:
            least, best, most = batches
            sides.append((least, best, max(most, *lengths, 0)))
        elif lengths:
            sides.append((lengths[0], lengths[len(lengths) // 2], lengths[-1]))
        else:
            raise ConvertError(
                f"the input '{name}' has the shape {list(shape)} and no sample says how long its side {axis} "
                "is, which TensorRT must know; add samples, or export the model with that side fixed."
            )
    least_, best_, most_ = zip(*sides)
    return Profile(least_, best_, most_)
