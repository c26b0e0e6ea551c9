"""Whether, and how far, a model's requests are put together; by what was measured, or as settings say."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Dict, List

import numpy as np

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.errors import BackendError
from edgeai_runtime.release.serving import AS_MEASURED, AUTO, OFF, Serving
from edgeai_runtime.serving.cores import usable
from edgeai_runtime.serving.model import Model

SIZES = (2, 4, 8, 16, 32)
# What a run costs besides the model, about: it leaves nothing of the server in the processor's caches, and
# what reads and writes requests begins anew behind it. A batch costs it once.
RUN_S = 0.000_3
GAIN = 0.9  # a batch must take less than this share of the time that its rows take alone
NEAR = 1.05  # of the best time a row: the smallest size that comes so near is chosen
LONGEST_S = 0.1  # of one batch: nobody waits longer for a neighbour
LARGEST = 32 << 20  # bytes of a batch's inputs
BUDGET_S = 1.0  # for measuring a size
# A model that is done sooner runs in the event loop: handing it to a thread and back takes about as long
# where there are several processors, and on a single one the thread could not run beside the loop anyway.
INLINE_S, INLINE_ALONE_S = 0.000_2, 0.003


# Looking for an answer, and keeping one for others to find.
FINDING_S = 0.000_03
UNKNOWN = "its shapes are free: the first request tells what to measure with"


@dataclass(frozen=True)
class Batching:
    """`max_batch_size` 1 is none. `inline`: the model runs in the event loop. `why` says how it came to that.

    `wishes`: what the release, or a setting, says of it. `fixed`: the `max_batch_size` that they ask for, 0
    where it is as measured. `alone_s`: seconds of a row.
    """

    max_batch_size: int = 1
    inline: bool = False
    why: str = UNKNOWN
    wishes: Serving = AS_MEASURED
    fixed: int = 0
    alone_s: float = 0.0

    @property
    def known(self) -> bool:
        """Whether it was measured, or set."""
        return self.why != UNKNOWN

    def found(self, measured: Batching) -> Batching:
        """The same settings with what was measured; itself where nothing was."""
        if not measured.known:
            return self
        size, why = measured.max_batch_size, measured.why
        if self.fixed:
            size, why = self.fixed, f"set to {self.fixed}" if self.fixed > 1 else "set to be off"
        return replace(self, max_batch_size=size, inline=measured.inline, why=why, alone_s=measured.alone_s)

    @property
    def finding_pays(self) -> bool:
        """Whether the model takes longer than finding an answer that was given before."""
        return not 0 < self.alone_s < FINDING_S

    def in_thread(self, why: str) -> Batching:
        return replace(self, inline=False, why=f"{self.why}; in a thread, as {why}")

    @property
    def wanted(self) -> int:
        """So many are worth not waiting any longer."""
        return max(self.wishes.preferred_batch_sizes, default=self.max_batch_size)

    def batch_of(self, waiting: int) -> int:
        """How many rows of those that wait go together: the largest preferred size that is filled."""
        fitting = [size for size in self.wishes.preferred_batch_sizes if size <= waiting]
        return max(fitting, default=self.max_batch_size)


def asked_for(serving: Serving, batched: bool) -> Batching:
    """What a release, or a setting, says; what is to be measured is unknown yet. What is not `batched` is
    not, whatever they say."""
    fixed = 1 if serving.batching == OFF else serving.batching if batched else AUTO
    return Batching(wishes=serving, fixed=0 if isinstance(fixed, str) else fixed)


def settled(model: Model, measured: Batching) -> Batching:
    """What was measured, and what the model's release says of the rest."""
    return asked_for(model.serving, model.batched).found(measured)


def found_out(model: Model) -> Batching:
    """What is measured with the model's own sample; unknown, until the first request, where it has none."""
    sample = model.sample()
    return Batching() if sample is None else measure(model, sample)


def measure(model: Model, sample: Tensors) -> Batching:
    """Run the model on batches of `sample`, one row, for as long as a larger one pays."""
    alone = seconds_of(model, sample)
    # An integer may say how much there is to do; zeros then tell nothing.
    steady = all(array.dtype.kind == "f" or array.dtype.itemsize == 1 for array in sample.values())
    inline = steady and alone <= (INLINE_ALONE_S if usable() == 1 else INLINE_S)
    times: Dict[int, float] = {1: alone}
    reason = _coupled(model, sample) if model.batched else "its first dimensions are fixed"
    if not reason:
        for size in SIZES:
            taken = _try(model, sample, size)
            if isinstance(taken, str):
                reason = taken
                break
            times[size] = taken
            if taken > LONGEST_S or taken / size > 1.5 * min(t / n for n, t in times.items()):
                break
    model.trim(sample)  # the engine keeps what the largest batch took
    rows = {size: (seconds + RUN_S) / size for size, seconds in times.items()}
    best = min(rows[size] for size, seconds in times.items() if seconds <= max(LONGEST_S, alone))
    chosen = min(size for size, each in rows.items() if each <= NEAR * best)
    if rows[chosen] > GAIN * rows[1]:
        chosen = 1
    told = ", ".join(f"{size}: {1e3 * each:.3g}" for size, each in rows.items())
    why = reason or f"measured, ms a row by batch size, with {1e3 * RUN_S:g} ms of a run besides: {told}"
    return Batching(chosen, inline, why, alone_s=alone)


def _coupled(model: Model, sample: Tensors) -> str:
    """Why rows of a batch are not answered as they are alone; empty when they are.

    A dynamically quantized model, for one, takes its scale from the whole batch.
    """
    draw = np.random.default_rng(1)
    rows = [{name: _drawn(array, draw, row) for name, array in sample.items()} for row in (0, 1)]
    try:
        alone = [model.run(row) for row in rows]
        together = model.run({name: np.concatenate([row[name] for row in rows]) for name in sample})
    except BackendError as error:
        return f"a batch of 2 fails ({error.message})"
    for name, array in together.items():
        if array.shape[:1] != (2,):
            return f"its output '{name}' has other rows than its inputs"
        for row, answer in enumerate(alone):
            if array[row : row + 1].shape != answer[name].shape or not _near(array[row], answer[name][0]):
                return f"its output '{name}' depends on the other rows of a batch"
    return ""


def _drawn(array: np.ndarray[Any, Any], draw: np.random.Generator, row: int) -> np.ndarray[Any, Any]:
    """What fits in the place of zeros: small floats; `row`, where integers may be indices."""
    if array.dtype.kind == "f":
        drawn: np.ndarray[Any, Any] = draw.random(array.shape).astype(array.dtype)
    else:
        drawn = np.full_like(array, row)
    return drawn


def _near(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    """Equal but for the order in which floats are added up."""
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    scale = float(np.abs(other).max(initial=0.0))
    return bool(np.allclose(one, other, rtol=1e-3, atol=1e-4 * scale + 1e-7, equal_nan=True))


def _try(model: Model, sample: Tensors, size: int) -> Any:
    """The seconds that a batch takes, or a sentence on why the model takes none of this size."""
    batch = {name: np.repeat(array, size, axis=0) for name, array in sample.items()}
    if sum(array.nbytes for array in batch.values()) > LARGEST:
        return "larger batches would take much memory"
    try:
        outputs = model.run(batch)
        if any(array.shape[:1] != (size,) for array in outputs.values()):
            return "its outputs have other rows than its inputs"
        return seconds_of(model, batch)
    except BackendError as error:
        return f"a batch of {size} fails ({error.message})"


def seconds_of(model: Model, feeds: Tensors) -> float:
    """Of one run: the least of as many as a moment allows. Raises BackendError."""
    taken: List[float] = []
    begun = time.perf_counter()
    while len(taken) < 3 or (len(taken) < 20 and time.perf_counter() - begun < BUDGET_S / 20):
        start = time.perf_counter()
        model.run(feeds)
        taken.append(time.perf_counter() - start)
        if time.perf_counter() - begun > BUDGET_S:
            break
    return min(taken)
