"""From an engine's name to its backend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Type

from edgeai_runtime.backends.base import Backend
from edgeai_runtime.backends.execution import Execution
from edgeai_runtime.errors import InputError

if TYPE_CHECKING:
    from edgeai_runtime.backends.onnx import OnnxBackend


def open_backend(engine: str, path: Path, execution: Execution) -> Backend:
    """Load the model in `path` with the named engine. Raises InputError, BackendError."""
    return _backend(engine, str(path)).load(path, execution)


def version_of(engine: str) -> str:
    """The version of what is installed. Raises InputError."""
    return str(_backend(engine, "its version").version)


def _backend(engine: str, what_for: str) -> Type[OnnxBackend]:
    if engine == "onnxruntime":
        from edgeai_runtime.backends.onnx import OnnxBackend

        return OnnxBackend
    raise InputError(
        f"{what_for}: the engine '{engine}' is unknown here, expected onnxruntime; correct the recipe."
    )
