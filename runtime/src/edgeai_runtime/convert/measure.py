"""Measure one model file on the selection set, the way requests take."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.select import open_backend
from edgeai_runtime.convert.stopwatch import timed
from edgeai_runtime.errors import BackendError, InputError
from edgeai_runtime.monitor.memory import forget_peak, peak_mb, resident_mb
from edgeai_runtime.paths import Paths
from edgeai_runtime.protocol import requests
from edgeai_runtime.release import Expected, Release, Sample, compared, quality
from edgeai_runtime.serving.memory import release_freed_memory
from edgeai_runtime.serving.model import Model
from edgeai_runtime.serving.text import read_labels
from edgeai_runtime.serving.threads import paying
from edgeai_runtime.trust.store import blob_path

# Enough for a verdict on a slow device; a model that cannot do more samples in it is measured on fewer.
TIME_LIMIT_S = 30.0
MOST_RACED = 400  # answers of each in a race
BATCHES = (1, 8)  # rows that an inference is timed with
POINT_S, LEAST_TIMED = 0.3, 3  # each for so long, and so many at least


@dataclass(frozen=True)
class Measured:
    """`quality`: as the release measures it; milliseconds of one sample: of an image from its bytes to its
    answer, of tensors the inference alone; `start_ms`: until it has answered for the first time; `memory_mb`:
    the most it took, where the kernel tells (MiB)."""

    quality: Optional[float]
    p50_ms: float
    p99_ms: float
    samples: int
    start_ms: float
    memory_mb: float


class Subject(NamedTuple):
    """A model file and what it is measured as: `release` says how it is asked."""

    file: Path
    release: Release
    engine: str
    labels: Optional[Sequence[str]]
    execution: Execution

    def load(self) -> Model:
        """Raises BackendError, InputError."""
        backend = open_backend(self.engine, self.file, self.execution)
        release = self.release
        return Model(release.name, release.version, self.engine, backend, release.pipeline, self.labels)

    def on(self, threads: int) -> Subject:
        """The same on so many threads."""
        return self._replace(execution=replace(self.execution, threads=threads))


def labels_of(paths: Paths, release: Release) -> Optional[Sequence[str]]:
    """Out of the store; None for a release without."""
    labels = release.labels
    return read_labels(blob_path(paths, labels.sha256)) if labels else None


def expecting(paths: Paths, samples: Sequence[Sample]) -> List[Tuple[Path, Expected]]:
    """Where the samples of a set lie, and what each expects."""
    return [
        (blob_path(paths, sample.sha256), sample.expect) for sample in samples if sample.expect is not None
    ]


def measure(
    subject: Subject, samples: Sequence[Tuple[Path, Expected]], time_limit_s: float = TIME_LIMIT_S
) -> Measured:
    """Answer each sample (file, what is expected) once, after a warm-up, until the time is over.

    Raises BackendError when the model does not load or does not answer.
    """
    release_freed_memory()
    forget_peak()
    before_mb = resident_mb()
    model, loading_ms = timed(subject.load)
    try:
        _warm, warming_ms = timed(model.warm_up)
        times, judged = [], quality(subject.release.quality)
        give_up = time.monotonic() + time_limit_s
        for path, expect in samples:
            answer, took = timed(_question(model, path))
            times.append(took)
            judged.add(
                expect, {name: answer[name].ravel().tolist() for name in compared(expect) if name in answer}
            )
            if time.monotonic() > give_up:
                break
    finally:
        model.close()
    return Measured(
        judged.value(),
        _percentile(times, 50),
        _percentile(times, 99),
        len(times),
        round(loading_ms + warming_ms, 1),
        round(max(0.0, peak_mb() - before_mb), 1),
    )


def threads_that_pay(subject: Subject, most: int, samples: Sequence[Tuple[Path, Expected]]) -> int:
    """Of one inference, of `most` that there are. Raises BackendError."""

    def seconds_with(threads: int) -> float:
        model = subject.on(threads).load()
        try:
            return min(_several(partial(model.run, _feeds(model, samples[0][0])))) / 1000
        finally:
            model.close()

    return paying(seconds_with, most)


def spread(
    subject: Subject, most: int, samples: Sequence[Tuple[Path, Expected]]
) -> Iterator[Dict[str, float]]:
    """p50 and p99 of an inference by 1, 2, 4 … threads, up to the `most`, and by rows of a batch, where its
    shapes know batches. Raises BackendError."""
    threads = 1
    while threads <= most:
        model = subject.on(threads).load()
        try:
            feeds = _feeds(model, samples[0][0])
            for rows in BATCHES if model.batched else BATCHES[:1]:
                batch = (
                    {name: np.concatenate([array] * rows) for name, array in feeds.items()}
                    if rows > 1
                    else feeds
                )
                times = _several(partial(model.run, batch))
                yield {
                    "threads": threads,
                    "batch": rows,
                    "p50_ms": _percentile(times, 50),
                    "p99_ms": _percentile(times, 99),
                }
        finally:
            model.close()
        threads *= 2


def race(
    subjects: Mapping[str, Subject],
    samples: Sequence[Tuple[Path, Expected]],
    time_limit_s: float,
) -> Dict[str, Tuple[float, float]]:
    """p50 and p99 in milliseconds of each model file by name, timed in turn on the same samples, so that heat
    and load are the same for all. One that does not answer them is left out; all are where the time is too
    short. Raises BackendError."""
    give_up = time.monotonic() + time_limit_s
    running: Dict[str, Model] = {}
    try:
        for name, subject in subjects.items():
            running[name] = subject.load()
            try:
                _question(running[name], samples[0][0])()
            except (BackendError, InputError):
                running.pop(name).close()
        times: Dict[str, List[float]] = {name: [] for name in running}
        order, longest_s = list(running), 0.0
        for path, _expect in cycle(samples):
            begun = time.monotonic()
            # Whoever overruns is killed and tells nothing: what may not be done in time is not begun.
            if not order or begun + longest_s > give_up or len(times[order[0]]) >= MOST_RACED:
                break
            for name in order:
                times[name].append(timed(_question(running[name], path))[1])
            order.append(order.pop(0))  # nobody always follows the same one
            longest_s = max(longest_s, time.monotonic() - begun)
    finally:
        for model in running.values():
            model.close()
    return {
        name: (_percentile(found, 50), _percentile(found, 99))
        for name, found in times.items()
        if len(found) >= LEAST_TIMED
    }


def _question(model: Model, sample: Path) -> Callable[[], Tensors]:
    """What asks the model for its answer to a sample."""
    data = sample.read_bytes()
    if model.takes_images:
        return partial(model.infer_image, data)
    return partial(model.infer, requests.inputs_of(data))


def _feeds(model: Model, sample: Path) -> Tensors:
    data = sample.read_bytes()
    return model.prepare(data)[0] if model.takes_images else requests.inputs_of(data)


def _several(ask: Callable[[], Any]) -> List[float]:
    ask()
    times: List[float] = []
    give_up = time.monotonic() + POINT_S
    while len(times) < LEAST_TIMED or time.monotonic() < give_up:
        times.append(timed(ask)[1])
    return times


def _percentile(values: Sequence[float], percent: float) -> float:
    return round(float(np.percentile(values, percent)), 3)
