"""The networks that every peer serves: made from a seed, or fetched once."""

from __future__ import annotations

import hashlib
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read while onnxruntime is imported

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto, helper, numpy_helper

from benchmarks.environments import REPO, UnavailableError

# The example knows how to take a network out of rapidocr's wheel.
sys.path.append(str(REPO / "examples" / "label_reader"))
from make_releases import CannotMakeError, fetch_model

CLASSIFIER = "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx"
CLASSIFIER_SHA256 = "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c"
# What the oldest onnxruntime of a device loads.
IR_VERSION = 10
OPSET = 17


@dataclass(frozen=True)
class Network:
    """A model file with one float32 input and one output. Shapes are those of one element, without batch."""

    name: str
    path: Path
    input: str
    output: str
    shape: Tuple[int, ...]
    classes: int

    def inputs(self, count: int) -> List[np.ndarray[Any, Any]]:
        """Elements of a batch of one: float32 [1, *shape], values in [-1, 1) with four decimals, so that
        JSON says them shortly and exactly."""
        values = np.random.default_rng(1).integers(-10_000, 10_000, (count, 1, *self.shape))
        return list((values / 10_000).astype(np.float32))

    def reference(self) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
        """What plain onnxruntime answers."""
        session = onnxruntime.InferenceSession(str(self.path), providers=["CPUExecutionProvider"])

        def answer(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            result: np.ndarray[Any, Any] = session.run([self.output], {self.input: values})[0]
            return result

        return answer


def network(name: str, directory: Path, cache: Path) -> Network:
    """Write the model file below `directory`; what is downloaded stays in `cache`.

    Raises UnavailableError where it cannot be fetched.
    """
    path = directory / f"{name}.onnx"
    path.write_bytes(_classifier(cache) if name == "classifier" else _MADE[name]().SerializeToString())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,), (result,) = session.get_inputs(), session.get_outputs()
    shape, classes = _SHAPES[name]
    return Network(name, path, given.name, result.name, shape, classes)


def _classifier(cache: Path) -> bytes:
    try:
        return fetch_model(cache, CLASSIFIER, CLASSIFIER_SHA256)
    except CannotMakeError as error:
        raise UnavailableError(str(error)) from None


def _mlp() -> ModelProto:
    """64 → 64 → 10 with a ReLU between."""
    graph = _Graph("mlp", (64,))
    hidden = graph.add("Relu", graph.gemm("x", 64, 64))
    return graph.model(graph.gemm(hidden, 64, 10), 10)


def _mobilenet() -> ModelProto:
    """MobileNetV2's layers at width 1 (Sandler et al. 2018, table 2), with weights drawn from a seed."""
    graph = _Graph("mobilenet", (3, 224, 224))
    flow = graph.convolution("x", 3, 32, kernel=3, stride=2)
    channels = 32
    for expansion, width, repeats, first_stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            inner = channels * expansion
            before = flow
            if expansion > 1:
                flow = graph.convolution(flow, channels, inner)
            flow = graph.convolution(flow, inner, inner, kernel=3, stride=stride, group=inner)
            flow = graph.convolution(flow, inner, width, activate=False)
            if stride == 1 and channels == width:
                flow = graph.add("Add", before, flow)
            channels = width
    flow = graph.convolution(flow, channels, 1280)
    flow = graph.add("Flatten", graph.add("GlobalAveragePool", flow))
    return graph.model(graph.gemm(flow, 1280, 1000), 1000)


_MADE: Dict[str, Callable[[], ModelProto]] = {"mlp": _mlp, "mobilenet": _mobilenet}
_SHAPES: Dict[str, Tuple[Tuple[int, ...], int]] = {
    "mlp": ((64,), 10),
    "classifier": ((3, 48, 192), 2),
    "mobilenet": ((3, 224, 224), 1000),
}
NAMES = tuple(_SHAPES)


class _Graph:
    """Puts a graph together, layer after layer; a layer is named by the tensor that it gives."""

    def __init__(self, name: str, shape: Tuple[int, ...]) -> None:
        self._name = name
        self._shape = shape
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        self._random = np.random.default_rng(seed)
        self._nodes: List[Any] = []
        self._constants: List[Any] = []

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"{kind.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def gemm(self, source: str, inputs: int, outputs: int) -> str:
        return self.add("Gemm", source, self._weights(inputs, outputs, inputs=inputs), self._weights(outputs))

    def convolution(
        self,
        source: str,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        group: int = 1,
        activate: bool = True,
    ) -> str:
        """With its batch normalisation folded in, as an exporter does, and ReLU6 behind."""
        weights = self._weights(outputs, inputs // group, kernel, kernel, inputs=inputs // group * kernel**2)
        attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        flow = self.add("Conv", source, weights, self._weights(outputs), group=group, **attributes)
        if not activate:
            return flow
        return self.add("Clip", flow, self._constant(np.float32(0)), self._constant(np.float32(6)))

    def model(self, last: str, classes: int) -> ModelProto:
        self._nodes.append(helper.make_node("Identity", [last], ["y"]))
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *self._shape])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", classes])],
            self._constants,
        )
        return helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)])

    def _weights(self, *shape: int, inputs: int = 100) -> str:
        """Scaled so that values neither die out nor blow up over the layers (He et al. 2015)."""
        spread = math.sqrt(2 / inputs)
        return self._constant(self._random.normal(0, spread, shape).astype(np.float32))

    def _constant(self, value: Any) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name
