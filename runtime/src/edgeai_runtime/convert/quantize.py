"""Eight-bit quantization: dynamic, or static from calibration samples."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Callable, Collection, List, Optional, Sequence

import onnx
from onnxruntime import quantization

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.convert.prepare import first_line
from edgeai_runtime.convert.processor import saturates
from edgeai_runtime.convert.samples import Samples
from edgeai_runtime.convert.sensitivity import most_harmed
from edgeai_runtime.errors import ConvertError
from edgeai_runtime.release.recipe import EVERY_OPERATOR, Recipe

# The operators with weights, which is where size and time are. Others gain little and cost accuracy.
STATIC_OPERATORS = ("Conv", "Gemm", "MatMul")
# Dynamic convolutions find their ranges at each run: mostly slower than fp32, so only on demand.
DYNAMIC_OPERATORS = ("Gemm", "MatMul")

SAMPLES_OF_ERROR = 2  # their tensors are all in memory at once

_ACTIVATIONS = {"uint8": quantization.QuantType.QUInt8, "int8": quantization.QuantType.QInt8}
_CALIBRATIONS = {
    "minmax": quantization.CalibrationMethod.MinMax,
    "percentile": quantization.CalibrationMethod.Percentile,
    "entropy": quantization.CalibrationMethod.Entropy,
}
_QUANTIZED = {"QuantizeLinear", "DynamicQuantizeLinear", "DynamicQuantizeMatMul"}


class SampleReader(quantization.CalibrationDataReader):  # type: ignore[misc]  # the base is untyped
    """Gives the calibrator one sample after the other; holds those of a range, since onnxruntime 1.19 looks
    at an input again behind the run that it gave it to
    (https://github.com/microsoft/onnxruntime/issues/21922)."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._held: List[Tensors] = []
        self.set_range(0, len(samples))

    def get_next(self) -> Optional[Tensors]:
        index = next(self._next, None)
        if index is None:
            return None
        self._held.append(self._samples[index])
        return self._held[-1]

    def __len__(self) -> int:
        return len(self._samples)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._held.clear()
        self._next = iter(range(len(self))[start_index:end_index])


def quantize_static(
    source: Path, target: Path, recipe: Recipe, samples: Samples, cpu_flags: Collection[str], name: str
) -> None:
    """Write `source` with QuantizeLinear/DequantizeLinear pairs around what the recipe quantizes.

    Raises ConvertError when the quantizer fails or finds nothing to quantize.
    """
    types, reader = _types(recipe, STATIC_OPERATORS), SampleReader(samples)
    quantizer = partial(
        write_pairs,
        source,
        target,
        types,
        reader,
        per_channel=recipe.per_channel,
        reduce_range=saturates(cpu_flags) and not recipe.full_range,
        activation_type=_ACTIVATIONS[recipe.activations],
        calibrate_method=_CALIBRATIONS[recipe.calibrate],
        # One sample at a time: without it every sample's outputs are kept until the end.
        extra_options={"CalibStridedMinMax": 1},
    )
    _guarded(quantizer, name)
    if recipe.keep_fp32:
        reader.set_range(0, SAMPLES_OF_ERROR)
        kept = _guarded(
            most_harmed, name, source, target, reader, types or list(STATIC_OPERATORS), recipe.keep_fp32
        )
        reader.set_range(0, len(reader))
        _guarded(quantizer, name, kept=kept)
    _check_quantized(target, types, name)


def write_pairs(
    source: Path,
    target: Path,
    types: Sequence[str],
    reader: SampleReader,
    kept: Sequence[str] = (),
    **options: Any,
) -> None:
    """Quantize operators of these `types`, all where there are none, but for the nodes that are `kept`."""
    # onnxruntime 1.19 sets the range of every Softmax output, and fails when it did not calibrate it:
    # have it calibrated, but leave it as it is.
    bystanders = _softmaxes(source) if types and "Softmax" not in types else []
    quantization.quantize_static(
        str(source),
        str(target),
        reader,
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=[*types, *["Softmax"] * bool(bystanders)],
        nodes_to_exclude=[*bystanders, *kept],
        weight_type=quantization.QuantType.QInt8,
        **options,
    )


def _softmaxes(file: Path) -> List[str]:
    nodes = onnx.load(str(file), load_external_data=False).graph.node
    return [node.name for node in nodes if node.op_type == "Softmax" and node.name]


def quantize_dynamic(
    source: Path, target: Path, recipe: Recipe, cpu_flags: Collection[str], name: str
) -> None:
    """Write `source` with int8 weights, and activations quantized at each run.

    Raises ConvertError when the quantizer fails or finds nothing to quantize.
    """
    types = _types(recipe, DYNAMIC_OPERATORS)
    convolves = not types or "Conv" in types
    quantizer = partial(
        quantization.quantize_dynamic,
        str(source),
        str(target),
        op_types_to_quantize=types,
        # onnxruntime's ConvInteger knows uint8 weights with one zero point only.
        per_channel=recipe.per_channel and not convolves,
        reduce_range=saturates(cpu_flags) and not recipe.full_range,
        weight_type=quantization.QuantType.QUInt8 if convolves else quantization.QuantType.QInt8,
    )
    _guarded(quantizer, name)
    _check_quantized(target, types, name)


def _types(recipe: Recipe, with_weights: Sequence[str]) -> List[str]:
    """Of the operators to quantize; empty for all that the quantizer knows."""
    if recipe.operators == EVERY_OPERATOR:
        return []
    return list(recipe.operators or with_weights)


def _guarded(quantizer: Callable[..., Any], name: str, *args: Any, **options: Any) -> Any:
    try:
        return quantizer(*args, **options)
    except ConvertError:
        raise
    except Exception as error:  # the quantizer raises what it likes, down to KeyError
        raise ConvertError(
            f"{name}: it cannot be quantized ({first_line(error)}); "
            "choose other operators or no quantization."
        ) from error


def _check_quantized(path: Path, types: Sequence[str], name: str) -> None:
    nodes = onnx.load(str(path), load_external_data=False).graph.node
    if not any(node.op_type in _QUANTIZED for node in nodes):
        wanted = " or ".join(types) or "known operator"
        raise ConvertError(
            f"{name}: nothing was quantized, it has no {wanted} with constant "
            "weights outside of subgraphs; name other operators in the recipe or set "
            'quantize = "none".'
        )
