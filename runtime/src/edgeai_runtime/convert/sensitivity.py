"""Which layers quantizing harms most, by measured error."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Dict, List, Mapping

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import qdq_loss_debug as debug

_DECIBEL = 10.0
_QUANTIZED = "_quantized"  # behind a weight's name, by onnxruntime


def most_harmed(source: Path, quantized: Path, reader: Any, operators: List[str], share: float) -> List[str]:
    """The names of the `share` (0 to 1, at least one) of the source's layers whose inputs and weights are
    furthest from what they were once they went through eight bits.

    The measure is onnxruntime's, of signal to quantization noise, of the samples that `reader` gives; a
    layer's is that of its input's noise and its weights' together. Empty where nothing can be told.
    """
    seen = quantized.with_name("seen.onnx")
    try:
        # What goes into a pair of QuantizeLinear and DequantizeLinear, and what comes out of it.
        debug.modify_model_output_intermediate_tensors(
            str(quantized), str(seen), op_types_for_saving=["QuantizeLinear", "DequantizeLinear"]
        )
        values = debug.collect_activations(str(seen), reader)
    finally:
        if seen.exists():
            seen.unlink()
    pairs = debug.create_activation_matching(values)
    inputs = {
        name: debug.compute_signal_to_quantization_noice_ratio(pair["pre_qdq"], pair["post_qdq"])
        for name, pair in pairs.items()
    }
    weights = _weights(source, quantized)
    ratios: Dict[str, float] = {}
    for node in onnx.load(str(source), load_external_data=False).graph.node:
        if node.op_type in operators:
            noises = [_noise(table, name) for table in (inputs, weights) for name in node.input]
            if any(noises):
                ratios[node.name] = sum(noises)
    count = max(1, math.ceil(share * len(ratios)))
    return sorted(ratios, key=lambda name: -ratios[name])[:count]


def _weights(source: Path, quantized: Path) -> Dict[str, float]:
    """The same of weights, by their names: onnxruntime 1.19 has it wrong where all of one have one scale."""
    exact = {tensor.name: tensor for tensor in onnx.load(str(source)).graph.initializer}
    graph = onnx.load(str(quantized)).graph
    made = {tensor.name: tensor for tensor in graph.initializer}
    ratios: Dict[str, float] = {}
    for node in graph.node:
        name = node.input[0][: -len(_QUANTIZED)] if node.op_type == "DequantizeLinear" else ""
        if name not in exact or not all(part in made for part in node.input):
            continue
        values, scale, zero = (numpy_helper.to_array(made[part]).astype(np.float64) for part in node.input)
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        along = [-1 if place == axis % values.ndim else 1 for place in range(values.ndim)]
        if scale.size > 1:  # one for each channel
            scale, zero = scale.reshape(along), zero.reshape(along)
        float_values = numpy_helper.to_array(exact[name]).astype(np.float64)
        ratios[name] = debug.compute_signal_to_quantization_noice_ratio(float_values, (values - zero) * scale)
    return ratios


def _noise(ratios: Mapping[str, float], name: str) -> float:
    """By the power of the signal, from decibels; 0 for what is not quantized."""
    return float(10 ** (-ratios[name] / _DECIBEL)) if name in ratios else 0.0
