"""onnxruntime, on the CPU or what else it was built for."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

# onnxruntime reads it while it is imported; afterwards is too late.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime

from edgeai_runtime.backends.base import Backend, Tensors, TensorSpec
from edgeai_runtime.backends.execution import PROVIDERS, Execution
from edgeai_runtime.errors import BackendError

_DATATYPES: Dict[str, str] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
_FATAL_ONLY = 4


class OnnxBackend(Backend):
    """A model in an onnxruntime session."""

    version = onnxruntime.__version__

    def __init__(self, session: Any, path: Path, threads: int, wanted: Sequence[str]) -> None:
        self._session: Optional[Any] = session
        self.threads = threads
        started = session.get_providers()
        self.provider = next(word for word, name in PROVIDERS.items() if name == started[0])
        self.fell_back = tuple(word for word in wanted if PROVIDERS[word] not in started)
        self.inputs = tuple(_spec(node, path) for node in session.get_inputs())
        self.outputs = tuple(_spec(node, path) for node in session.get_outputs())
        self._names = [spec.name for spec in self.outputs]

    @classmethod
    def load(cls, path: Path, execution: Execution) -> OnnxBackend:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = execution.threads
        options.inter_op_num_threads = 1
        # Waiting threads that spin take a whole core of a small device for no gain at batch 1.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The pattern of one shape is kept in memory for nothing when every label has another width.
        options.enable_mem_pattern = False
        # Errors reach the caller as exceptions, once.
        options.log_severity_level = _FATAL_ONLY
        there = onnxruntime.get_available_providers()
        # What this onnxruntime was not built with is passed over; where nothing else is named, it is missed.
        wanted = [word for word in execution.providers if PROVIDERS[word] in there] or execution.providers
        # What a provider does not run, and all of it where none starts, is the processor's.
        providers = [
            (PROVIDERS[word], _options(word, execution.threads))
            for word in wanted
            if word != "cpu" and PROVIDERS[word] in there
        ]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a provider that does not start: it is asked for below
                session = onnxruntime.InferenceSession(
                    str(path), sess_options=options, providers=[*providers, (PROVIDERS["cpu"], {})]
                )
            session.disable_fallback()  # on another provider, in silence, when one fails at work
        except Exception as error:  # noqa: BLE001 - onnxruntime's own share no other base
            raise BackendError(
                f"{path}: onnxruntime {onnxruntime.__version__} does not load this model "
                f"({reason(error)}); convert or export it again for this version."
            ) from None
        return cls(session, path, execution.threads, wanted)

    def run(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> Tensors:
        if self._session is None:
            raise BackendError("The model is closed; load it again to run it.")
        try:
            results = self._session.run(self._names, feeds)
        except Exception as error:  # noqa: BLE001
            raise BackendError(reason(error)) from None
        return {name: np.asarray(result) for name, result in zip(self._names, results)}

    def trim(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> None:
        options = onnxruntime.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        try:
            if self._session is not None:
                self._session.run(self._names, feeds, options)
        except Exception as error:  # noqa: BLE001
            raise BackendError(reason(error)) from None

    def close(self) -> None:
        self._session = None


def _options(provider: str, threads: int) -> Dict[str, str]:
    """What makes a provider that brings threads of its own keep to the number
    (https://onnxruntime.ai/docs/execution-providers, "OpenVINO" and "XNNPACK")."""
    names = {"openvino": "num_of_threads", "xnnpack": "intra_op_num_threads"}
    return {names[provider]: str(threads)} if provider in names else {}


def reason(error: Exception) -> str:
    """What onnxruntime says, without its code's whereabouts, on one line of at most 300 characters."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    # "/src/file.cc:540 void Broadcast(…) condition was false. What happened": the end counts.
    text = re.sub(r"\S*/\S+\.(?:cc|h):\d+ ", "", text)
    text = text.rstrip(". ")
    return text if len(text) <= 300 else text[:299] + "…"


def _spec(node: Any, path: Path) -> TensorSpec:
    if node.type not in _DATATYPES:
        raise BackendError(
            f"{path}: '{node.name}' is a {node.type}, expected a tensor of numbers, booleans or text; "
            "export the model with plain tensors."
        )
    shape: Tuple[int, ...] = tuple(size if isinstance(size, int) else -1 for size in node.shape)
    return TensorSpec(node.name, _DATATYPES[node.type], shape)
