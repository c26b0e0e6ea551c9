"""What these tests need is a GPU: without one they say so and are skipped."""

from __future__ import annotations

import ctypes
import importlib
import os
from typing import List

import pytest

WANTED = "EDGEAI_TEST_GPU"  # set where there is a GPU for certain: then a test that cannot run fails


def missing() -> str:
    """Why these tests cannot run here, "" where they can."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA GPU here: there is no libcuda.so.1, which its driver brings"
    try:
        importlib.import_module("tensorrt")
    except ImportError as error:
        return f"no TensorRT for this Python here: {error}"
    from edgeai_runtime.backends.cuda import open_cuda
    from edgeai_runtime.errors import BackendError

    try:
        open_cuda().close()
    except BackendError as error:
        return f"no NVIDIA GPU that can be used here: {error.message}"
    return ""


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    ours = [item for item in items if item.path.parent.name == "gpu"]
    reason = missing() if ours and not os.environ.get(WANTED) else ""
    for item in ours:
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
