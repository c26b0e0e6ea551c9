"""Gives a recogniser a position table of fixed width: the fault of release 1.3.0.

Models are exported like this in earnest: an encoding made for the widest training
image, sliced to the width of the input. Whatever is narrower reads as before, since the
table here holds zeros; whatever is wider makes the engine fail, for lack of table.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper


def with_position_table(model: bytes, width: int) -> bytes:
    """`model` (ONNX, one input x[N,3,H,W] float32) with table[1,1,1,width] sliced to W and added to x."""
    proto = onnx.load_from_string(model)
    graph = proto.graph
    name = graph.input[0].name
    for node in graph.node:
        for index, value in enumerate(node.input):
            if value == name:
                node.input[index] = "positioned"
    constants = {
        "position_table": np.zeros((1, 1, 1, width), np.float32),
        "left": np.array([0], np.int64),
        "axis_of_width": np.array([3], np.int64),
        "after_width": np.array([4], np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in constants.items())
    added = [
        helper.make_node("Shape", [name], ["shape"]),
        helper.make_node("Slice", ["shape", "axis_of_width", "after_width"], ["width"]),
        helper.make_node("Slice", ["position_table", "left", "width", "axis_of_width"], ["positions"]),
        helper.make_node("Add", [name, "positions"], ["positioned"]),
    ]
    for index, node in enumerate(added):
        graph.node.insert(index, node)
    return bytes(proto.SerializeToString(deterministic=True))
