"""Unstructured L1 pruning: the smallest weights become zero, for good.

It makes nothing faster in a dense engine; it shrinks what compresses well, at a price in quality.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from edgeai_runtime.errors import ConvertError

_WEIGHT_INPUT = {"Conv": 1, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1}


def prune(path: Path, share: float, over: str, name: str) -> None:
    """Set the `share` (0 to below 1) of smallest absolute weights to zero in the model file: of those of each
    "layer", or of all in the "model".

    Raises ConvertError when no layer has constant weights.
    """
    model = onnx.load(str(path))
    names = {
        node.input[_WEIGHT_INPUT[node.op_type]] for node in model.graph.node if node.op_type in _WEIGHT_INPUT
    }
    tensors = [
        tensor
        for tensor in model.graph.initializer
        if tensor.name in names and tensor.data_type == onnx.TensorProto.FLOAT
    ]
    if not tensors:
        raise ConvertError(
            f"{name}: no layer has constant float weights to prune; set prune = 0 in the recipe."
        )
    least = None
    if over == "model":
        sizes = np.concatenate([np.abs(numpy_helper.to_array(tensor)).ravel() for tensor in tensors])
        count = int(share * sizes.size)
        least = np.partition(sizes, count)[count]
        del sizes
    for tensor in tensors:
        values = numpy_helper.to_array(tensor).copy()
        if least is not None:
            values[np.abs(values) < least] = 0.0
        else:
            count = int(share * values.size)
            smallest = np.argpartition(np.abs(values), count, axis=None)[:count]
            values.reshape(-1)[smallest] = 0.0
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, str(path))
