"""A model is loaded where memory admits it, else refused with the figures, before the system kills for it."""

from __future__ import annotations

from typing import Callable, NamedTuple

from edgeai_runtime.errors import BackendError
from edgeai_runtime.monitor.memory import free_mb, resident_mb
from edgeai_runtime.serving.model import Model

MIB = float(1 << 20)


class Loaded(NamedTuple):
    """A model that is warm; `warmup_ms` of its first answer, `memory_mb` MiB that it took with the engine."""

    model: Model
    warmup_ms: float
    memory_mb: float


def load_admitted(name: str, needed_mb: float, load: Callable[[], Model]) -> Loaded:
    """Load and warm up a model that needs so many MiB: what it took before, or at least its files.

    Raises BackendError where they are not free, or when the model does not load or does not answer.
    """
    admit(name, needed_mb)
    before = resident_mb()
    model = load()
    try:
        warmup_ms = model.warm_up()
    except BaseException:
        model.close()
        raise
    return Loaded(model, warmup_ms, max(0.0, resident_mb() - before))


def admit(name: str, needed_mb: float) -> None:
    """That so many MiB are free. Raises BackendError."""
    free = free_mb()
    if free is not None and needed_mb > free:
        raise BackendError(
            f"{name} needs {needed_mb:.0f} MiB of memory and {free:.0f} are free; "
            "serve fewer or smaller models, or free memory on this machine."
        )
