"""Half precision: for what a GPU runs in it."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from edgeai_runtime.convert.prepare import first_line
from edgeai_runtime.errors import ConvertError


def halve(source: Path, target: Path, name: str) -> None:
    """Write `source` with its weights and tensors in fp16; inputs and outputs stay as they are.

    Raises ConvertError where that cannot be.
    """
    try:
        onnx.save(convert_float_to_float16(onnx.load(str(source)), keep_io_types=True), str(target))
    except Exception as error:  # the converter raises what it likes
        raise ConvertError(
            f"{name}: it cannot be brought to fp16 ({first_line(error)}); choose fp32."
        ) from error
