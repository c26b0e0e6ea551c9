"""How many threads an inference gets, where nobody says: as many as make it faster by far."""

from __future__ import annotations

from typing import Callable

from edgeai_runtime.serving.admission import Loaded
from edgeai_runtime.serving.batching import seconds_of
from edgeai_runtime.serving.cores import usable

WORTH_S = 0.002  # what is quicker has no use for a second one
GAIN = 0.8  # on twice as many it must take less than this share of the time


def paying(seconds_with: Callable[[int], float], cores: int) -> int:
    """The number of threads, by what an inference takes with so many (s), asked for 1, 2, 4 … in order."""
    threads, seconds = 1, seconds_with(1)
    while seconds > WORTH_S and 2 * threads <= cores:
        taken = seconds_with(2 * threads)
        if taken > GAIN * seconds:
            break
        threads, seconds = 2 * threads, taken
    return threads


def fitting(load: Callable[[int], Loaded]) -> Loaded:
    """A model on as many threads as pay, of those there are cores for. `load` loads it for so many.

    One at a time is loaded: memory may not hold two. What is left open by its shapes gets one thread.
    Raises what `load` raises, BackendError when the model does not answer.
    """
    loaded = load(1)
    sample = loaded.model.sample()
    if sample is None:
        return loaded

    def with_threads(count: int) -> Loaded:
        if loaded.model.threads == count:
            return loaded
        loaded.model.close()
        return load(count)

    def seconds_with(count: int) -> float:
        nonlocal loaded
        loaded = with_threads(count)
        return seconds_of(loaded.model, sample)

    return with_threads(paying(seconds_with, usable()))
