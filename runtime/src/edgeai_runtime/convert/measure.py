"""Measure one model file on the selection set, through the very pipeline requests take."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence, Tuple

import numpy as np

from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.backends.select import open_backend
from edgeai_runtime.release import ANSWERS, Expected, Release, is_right
from edgeai_runtime.serving.model import Model

# Enough for a verdict on a slow device; a model that cannot do more images in it is measured on fewer.
TIME_LIMIT_S = 30.0


@dataclass(frozen=True)
class Measured:
    """`quality`: share answered exactly; milliseconds of one image from its bytes to its answer."""

    quality: Optional[float]
    p50_ms: float
    p99_ms: float
    samples: int


def measure(
    model_file: Path,
    release: Release,
    engine: str,
    execution: Execution,
    labels: Optional[Sequence[str]],
    images: Sequence[Tuple[Path, Expected]],
    time_limit_s: float = TIME_LIMIT_S,
) -> Measured:
    """Answer each image (file, what is expected) once, after a warm-up, until the time is over.

    Raises BackendError when the model does not load or does not answer.
    """
    backend = open_backend(engine, model_file, execution)
    model = Model(release.name, release.version, engine, backend, release.pipeline, labels)
    try:
        model.warm_up()
        times, right = [], 0
        give_up = time.monotonic() + time_limit_s
        for path, expect in images:
            data = path.read_bytes()
            started = time.perf_counter()
            answer = model.infer_image(data)
            times.append((time.perf_counter() - started) * 1000)
            right += is_right(
                expect, {name: answer[name].ravel().tolist() for name in ANSWERS if name in answer}
            )
            if time.monotonic() > give_up:
                break
    finally:
        model.close()
    return Measured(right / len(times), _percentile(times, 50), _percentile(times, 99), len(times))


def _percentile(values: Sequence[float], percent: float) -> float:
    return round(float(np.percentile(values, percent)), 3)
