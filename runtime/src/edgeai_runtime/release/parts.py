"""What a release consists of: files by digest, sets of samples, a pipeline, recipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional, Tuple

from edgeai_runtime.release.expect import Expected


@dataclass(frozen=True)
class Blob:
    """A file by its content: sha256 in lower-case hex, size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Sample(Blob):
    """An image (PNG or JPEG) of a set; `expect` is the right answer, None in a calibration set."""

    expect: Optional[Expected] = None


@dataclass(frozen=True)
class Sets:
    """The three sets of samples; no image is in two of them."""

    calibration: Tuple[Sample, ...]
    selection: Tuple[Sample, ...]
    golden: Tuple[Sample, ...]


@dataclass(frozen=True)
class Pipeline:
    """Operations in order, each {"op": name, parameter: value, …}."""

    pre: Tuple[Mapping[str, Any], ...]
    post: Tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Recipe:
    """How a device class converts the model.

    `operators`: ONNX operator types to quantize, empty for the engine's own choice;
    `prune`: share of weights set to zero, 0 to below 1; `threads`: of one inference.
    """

    engine: str = "onnxruntime"
    quantize: str = "none"
    operators: Tuple[str, ...] = ()
    per_channel: bool = False
    prune: float = 0.0
    threads: int = 1
