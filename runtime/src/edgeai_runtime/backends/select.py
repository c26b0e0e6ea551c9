"""From an engine's name to its backend."""

from __future__ import annotations

from pathlib import Path

from edgeai_runtime.backends.base import Backend
from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.errors import InputError


def open_backend(engine: str, path: Path, execution: Execution) -> Backend:
    """Load the model in `path` with the named engine. Raises InputError, BackendError."""
    if engine == "onnxruntime":
        from edgeai_runtime.backends.onnx import OnnxBackend

        return OnnxBackend.load(path, execution)
    raise InputError(
        f"{path}: the engine '{engine}' is unknown here, expected onnxruntime; correct the recipe."
    )
