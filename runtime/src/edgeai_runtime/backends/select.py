"""From an engine's name to its backend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Type, Union

from edgeai_runtime.backends.base import Backend
from edgeai_runtime.backends.execution import MODEL_FILES, ONNXRUNTIME, TENSORRT, Execution
from edgeai_runtime.errors import InputError

if TYPE_CHECKING:
    from edgeai_runtime.backends.onnx import OnnxBackend
    from edgeai_runtime.backends.tensorrt import TensorRTBackend


def open_backend(engine: str, path: Path, execution: Execution) -> Backend:
    """Load the model in `path` with the named engine. Raises InputError, BackendError."""
    return _backend(engine, str(path)).load(path, execution)


def version_of(engine: str) -> str:
    """The version of what is installed. Raises InputError, BackendError where it is not."""
    return str(_backend(engine, "its version").version)


def _backend(engine: str, what_for: str) -> Union[Type[OnnxBackend], Type[TensorRTBackend]]:
    if engine == ONNXRUNTIME:
        from edgeai_runtime.backends.onnx import OnnxBackend

        return OnnxBackend
    if engine == TENSORRT:
        from edgeai_runtime.backends.tensorrt import TensorRTBackend

        return TensorRTBackend
    raise InputError(
        f"{what_for}: the engine '{engine}' is unknown here, expected {' or '.join(MODEL_FILES)}; "
        "correct the recipe."
    )
