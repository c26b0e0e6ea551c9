"""How an engine is to be built, and what for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Mapping, Optional, Sequence, Tuple

from edgeai_runtime.convert.tensorrt.profiles import Shape

FP32, FP16, INT8 = "fp32", "fp16", "int8"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class EngineOptions:
    """`precision`: FP32, FP16 or INT8, which takes FP16 too where that is faster; `batches` and `shapes` make
    the profile (profiles.py); `workspace_mib` is what layers may take besides their tensors; `timing_cache`
    is a file in which the times measured of layers are kept for the next build; `time_limit_s` holds where
    TensorRT can be stopped (10 and later, and `trtexec`), elsewhere that of the process does.
    """

    precision: str = FP32
    batches: Tuple[int, int, int] = (1, 1, 8)
    shapes: Mapping[str, Sequence[Shape]] = field(default_factory=dict)
    workspace_mib: int = 1024
    version_compatible: bool = False
    hardware_compatible: bool = False
    timing_cache: Optional[Path] = None
    time_limit_s: float = 1800.0
