"""How inferences run, without an engine: what settings say and a conversion depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

# By the words that settings have for them: https://onnxruntime.ai/docs/execution-providers
PROVIDERS: Dict[str, str] = {
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "cpu": "CPUExecutionProvider",
}


# By their names in recipes, and what the file of a converted model is called for each.
ONNXRUNTIME, TENSORRT = "onnxruntime", "tensorrt"
MODEL_FILES: Dict[str, str] = {ONNXRUNTIME: "model.onnx", TENSORRT: "model.engine"}


@dataclass(frozen=True)
class Execution:
    """On `threads` threads each, by the first of the `providers` that onnxruntime was built with here."""

    threads: int = 1
    providers: Tuple[str, ...] = ("cpu",)
