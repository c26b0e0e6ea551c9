"""Eight-bit quantization: dynamic, or static from calibration images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, FrozenSet, Iterable, Optional, Sequence

import numpy as np
import onnx
from onnxruntime import quantization

from edgeai_runtime.convert.prepare import first_line
from edgeai_runtime.errors import ConvertError
from edgeai_runtime.release import Recipe

# The operators with weights, which is where size and time are. Others gain little and cost accuracy.
STATIC_OPERATORS = ("Conv", "Gemm", "MatMul")
# Dynamic convolutions find their ranges at each run: mostly slower than fp32, so only on demand.
DYNAMIC_OPERATORS = ("Gemm", "MatMul")

_QUANTIZED = {"QuantizeLinear", "DynamicQuantizeLinear", "DynamicQuantizeMatMul"}


class ImageReader(quantization.CalibrationDataReader):  # type: ignore[misc]  # the base is untyped
    """Gives the calibrator one prepared image after the other; never holds more than one.

    Each input is float32 in the shape and layout of the release's pre-processing.
    """

    def __init__(self, images: Sequence[Path], preprocess: Callable[[bytes], Dict[str, np.ndarray]]) -> None:
        self._images = images
        self._preprocess = preprocess
        self._next = iter(images)

    def get_next(self) -> Optional[Dict[str, np.ndarray]]:
        image = next(self._next, None)
        return None if image is None else self._preprocess(image.read_bytes())

    def __len__(self) -> int:
        return len(self._images)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._next = iter(self._images[start_index:end_index])


def quantize_static(
    source: Path, target: Path, recipe: Recipe, reader: ImageReader, cpu_flags: Iterable[str], name: str
) -> None:
    """Write `source` with QuantizeLinear/DequantizeLinear pairs: uint8 activations, int8 weights, min-max.

    Raises ConvertError when the quantizer fails or finds nothing to quantize.
    """
    operators = list(recipe.operators or STATIC_OPERATORS)
    # onnxruntime 1.19 sets the range of every Softmax output, and fails when it did not calibrate it:
    # have it calibrated, but leave it as it is.
    graph = onnx.load(str(source), load_external_data=False).graph
    bystanders = (
        [node.name for node in graph.node if node.op_type == "Softmax"] if "Softmax" not in operators else []
    )
    del graph
    _guarded(
        quantization.quantize_static,
        name,
        str(source),
        str(target),
        reader,
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=operators + (["Softmax"] if bystanders else []),
        nodes_to_exclude=bystanders,
        per_channel=recipe.per_channel,
        reduce_range=needs_reduced_range(frozenset(cpu_flags)),
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=quantization.CalibrationMethod.MinMax,
        # One image at a time: without it every image's outputs are kept until the end.
        extra_options={"CalibStridedMinMax": 1},
    )
    _check_quantized(target, operators, name)


def quantize_dynamic(source: Path, target: Path, recipe: Recipe, cpu_flags: Iterable[str], name: str) -> None:
    """Write `source` with int8 weights, and activations quantized at each run.

    Raises ConvertError when the quantizer fails or finds nothing to quantize.
    """
    operators = list(recipe.operators or DYNAMIC_OPERATORS)
    convolves = "Conv" in operators
    _guarded(
        quantization.quantize_dynamic,
        name,
        str(source),
        str(target),
        op_types_to_quantize=operators,
        # onnxruntime's ConvInteger knows uint8 weights with one zero point only.
        per_channel=recipe.per_channel and not convolves,
        reduce_range=needs_reduced_range(frozenset(cpu_flags)),
        weight_type=quantization.QuantType.QUInt8 if convolves else quantization.QuantType.QInt8,
    )
    _check_quantized(target, operators, name)


def needs_reduced_range(cpu_flags: FrozenSet[str]) -> bool:
    """Whether weights must keep to 7 bits: x86 without VNNI adds two products in 16 bits, which saturate."""
    x86 = "sse2" in cpu_flags
    return x86 and not any("vnni" in flag or flag.startswith("amx_int8") for flag in cpu_flags)


def _guarded(quantizer: Callable[..., None], name: str, *args: Any, **options: Any) -> None:
    try:
        quantizer(*args, **options)
    except ConvertError:
        raise
    except Exception as error:  # the quantizer raises what it likes, down to KeyError
        raise ConvertError(
            f"{name}: it cannot be quantized ({first_line(error)}); "
            "choose other operators or no quantization."
        ) from error


def _check_quantized(path: Path, operators: Sequence[str], name: str) -> None:
    nodes = onnx.load(str(path), load_external_data=False).graph.node
    if not any(node.op_type in _QUANTIZED for node in nodes):
        raise ConvertError(
            f"{name}: nothing was quantized, it has no {' or '.join(operators)} with constant weights "
            'outside of subgraphs; name other operators in the recipe or set quantize = "none".'
        )
