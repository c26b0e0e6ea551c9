"""What those who build and those who serve need of TensorRT's Python API, whatever its version.

From 8.2, the last for JetPack 4, to 11 much of it was renamed. What there is is asked of the module and its
classes, and no version is compared: a feature may come to an older line later than to a newer one.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any, Deque, Dict

from edgeai_runtime.errors import BackendError

__all__ = ["Log", "datatype_in_v2", "started", "trt"]

try:
    import tensorrt as trt
except ImportError as error:
    raise BackendError(
        f"TensorRT's Python package cannot be loaded ({error}); it comes with JetPack "
        "(python3-libnvinfer), elsewhere as NVIDIA's wheel: build this device's environment again with it."
    ) from None

# TensorRT's DataType to V2's. Those without a name there (BF16, FP8, INT4) are not what clients send.
_DATATYPES: Dict[str, str] = {
    "BOOL": "BOOL",
    "UINT8": "UINT8",
    "INT8": "INT8",
    "INT32": "INT32",
    "INT64": "INT64",
    "HALF": "FP16",
    "FLOAT": "FP32",
}
_LINES = 2  # the one that says what happened is often followed by one that says that something did
_LENGTH = 300


class Log(trt.ILogger):  # type: ignore[misc]  # the base is untyped
    """TensorRT's log, of which the last errors are kept to be told as the reason of what then fails."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)  # pybind11 wants it by its name
        self._errors: Deque[str] = deque(maxlen=_LINES)

    def log(self, severity: Any, msg: str) -> None:
        """Called by TensorRT, from any of its threads."""
        if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
            # "3: [engine.cpp::load::71] Error Code 3: …": where in NVIDIA's source it was is of no use.
            text = re.sub(r"^(?:\d+: )?\[[^\]]*\.(?:cpp|h|cu)\b[^\]]*\]:? ?", "", " ".join(msg.split()))
            self._errors.append(text.rstrip(". "))

    def clear(self) -> None:
        self._errors.clear()

    def reason(self) -> str:
        """The last errors on one line of at most 300 characters."""
        text = "; ".join(dict.fromkeys(self._errors)) or "it gave no reason"
        return text if len(text) <= _LENGTH else text[: _LENGTH - 1] + "…"


def started(kind: str, log: Log) -> Any:
    """A `Runtime` or `Builder`. Raises BackendError where there is no GPU for it."""
    if hasattr(trt, "init_libnvinfer_plugins"):
        trt.init_libnvinfer_plugins(log, "")
    try:
        return getattr(trt, kind)(log)
    except TypeError:  # what pybind11 makes of a constructor that gives nothing
        raise BackendError(
            f"TensorRT {trt.__version__} does not start here ({log.reason()}); see that this device has an "
            "NVIDIA GPU, and that driver and TensorRT fit each other."
        ) from None


def datatype_in_v2(datatype: Any) -> str:
    """The V2 name of a TensorRT DataType, "" for one that has none."""
    return _DATATYPES.get(datatype.name, "")
