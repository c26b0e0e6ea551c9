"""A model that says the precision of its tensors itself, which is all a strongly typed network goes by.

TensorRT 11 has neither flags of precision nor calibrators: fp16 is a model of float16 tensors, int8 one with
QuantizeLinear and DequantizeLinear (docs.nvidia.com/deeplearning/tensorrt, "Strongly Typed Networks").
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Iterator, Optional

import onnx

from edgeai_runtime.convert.halve import halve
from edgeai_runtime.convert.prepare import first_line
from edgeai_runtime.convert.samples import Samples
from edgeai_runtime.convert.tensorrt.graph import has_quantization
from edgeai_runtime.convert.tensorrt.options import FP16, INT8
from edgeai_runtime.errors import ConvertError

_OPERATORS = ("Conv", "Gemm", "MatMul")
_PER_CHANNEL = 13  # the opset from which QuantizeLinear has an axis


@contextlib.contextmanager
def in_own_types(
    source: Path, beside: Path, precision: str, calibration: Optional[Samples]
) -> Iterator[Path]:
    """A file in which the model has the precision; `source` itself where it has, else one that lies `beside`
    meanwhile. Raises ConvertError."""
    if precision not in (FP16, INT8) or has_quantization(source):
        yield source
        return
    made = beside.with_name(f"{beside.name}.{precision}.onnx")
    try:
        _make(source, made, precision, calibration)
        yield made
    finally:
        with contextlib.suppress(OSError):
            made.unlink()


def _make(source: Path, target: Path, precision: str, calibration: Optional[Samples]) -> None:
    try:
        if precision == FP16:
            halve(source, target, str(source))
        elif calibration is None:
            raise ConvertError(f"{source}: int8 takes calibration samples, and there are none; add some.")
        else:
            _eight_bits(source, target, calibration)
    except (ConvertError, OSError):
        raise
    except Exception as error:  # onnxruntime's tools raise what they like
        raise ConvertError(
            f"{source}: it cannot be made {precision} ({first_line(error)}); choose another precision."
        ) from error


def _eight_bits(source: Path, target: Path, samples: Samples) -> None:
    """Pairs of QuantizeLinear and DequantizeLinear as TensorRT takes them: int8, zero points of 0 for
    activations too, biases left alone."""
    from onnxruntime.quantization import QuantType

    from edgeai_runtime.convert.quantize import SampleReader, write_pairs

    model = onnx.load(str(source), load_external_data=False)
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    write_pairs(
        source,
        target,
        _OPERATORS,
        SampleReader(samples),
        per_channel=opset >= _PER_CHANNEL,
        activation_type=QuantType.QInt8,
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "AddQDQPairToWeight": True,
            "QuantizeBias": False,
        },
    )
    if not has_quantization(target):
        raise ConvertError(
            f"{source}: nothing was quantized, it has no {' or '.join(_OPERATORS)} with constant weights; "
            "choose another precision."
        )
