"""What must be known of an ONNX file before somebody else reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Tuple

import onnx

from edgeai_runtime.convert.tensorrt.profiles import Shape


def inputs_of(file: Path) -> Dict[str, Shape]:
    """The shape of each input, -1 where a side is free."""
    graph = _graph(file)
    constants = {tensor.name for tensor in graph.initializer}
    return {
        value.name: tuple(
            side.dim_value if side.HasField("dim_value") else -1 for side in value.type.tensor_type.shape.dim
        )
        for value in graph.input
        if value.name not in constants
    }


def has_quantization(file: Path) -> bool:
    """Whether the model says itself what is quantized and how, by QuantizeLinear."""
    return any(node.op_type == "QuantizeLinear" for node in _graph(file).node)


def node_at(file: Path, index: int) -> Tuple[str, str]:
    """Name and operator of the node at a place in the file; empty for -1, which says that it was none."""
    if index < 0:
        return "", ""
    node = _graph(file).node[index]
    return node.name, node.op_type


def _graph(file: Path) -> Any:
    return onnx.load(str(file), load_external_data=False).graph
