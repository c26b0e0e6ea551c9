"""Models of every kind, small, with weights drawn from a seed, and requests that they answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization
from toy import put, put_model

from edgeai_runtime.backends.datatypes import datatype_of
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Pipeline, Recipe, Release, Sample, Sets

Feeds = Dict[str, Any]
Draw = Callable[[np.random.Generator], Feeds]


def _weights(seed: int, **shapes: Sequence[int]) -> List[Any]:
    draw = np.random.default_rng(seed)
    return [
        numpy_helper.from_array((draw.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32), name)
        for name, shape in shapes.items()
    ]


def _model(
    nodes: Sequence[Any],
    inputs: Mapping[str, Tuple[int, Sequence[Any]]],
    outputs: Mapping[str, Tuple[int, Sequence[Any]]],
    weights: Sequence[Any] = (),
    **domains: int,
) -> bytes:
    def values(table: Mapping[str, Tuple[int, Sequence[Any]]]) -> List[Any]:
        return [helper.make_tensor_value_info(name, *about) for name, about in table.items()]

    graph = helper.make_graph(list(nodes), "zoo", values(inputs), values(outputs), list(weights))
    opsets = [helper.make_opsetid("", 15)]
    opsets += [helper.make_opsetid(domain.replace("_", "."), version) for domain, version in domains.items()]
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return data


FLOAT, INT, TEXT = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


def convolutional() -> bytes:
    """Digits of 8 by 8 pixels to ten classes, a batch."""
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "b"], ["y"]),
    ]
    weights = _weights(1, k=(16, 1, 3, 3), w=(16, 10), b=(10,))
    return _model(nodes, {"x": (FLOAT, ["N", 1, 8, 8])}, {"y": (FLOAT, ["N", 10])}, weights)


def recurrent() -> bytes:
    """An LSTM over a series of free length."""
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r", "b"], ["", "h", ""], hidden_size=16),
        helper.make_node("Squeeze", ["h", "axis"], ["s"]),
        helper.make_node("MatMul", ["s", "p"], ["y"]),
    ]
    weights = _weights(2, w=(1, 64, 8), r=(1, 64, 16), b=(1, 128), p=(16, 3))
    weights.append(numpy_helper.from_array(np.array([0], np.int64), "axis"))
    return _model(nodes, {"x": (FLOAT, ["T", 1, 8])}, {"y": (FLOAT, [1, 3])}, weights)


def attentive() -> bytes:
    """One layer of a transformer's encoder, over indices of tokens."""
    scale = numpy_helper.from_array(np.array(0.25, np.float32), "scale")
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["x"]),
        *[helper.make_node("MatMul", ["x", f"w{part}"], [part]) for part in "qkv"],
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["qk"]),
        helper.make_node("Mul", ["qk", "scale"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["share"], axis=-1),
        helper.make_node("MatMul", ["share", "v"], ["mixed"]),
        helper.make_node("Add", ["x", "mixed"], ["sum"]),
        helper.make_node("ReduceMean", ["sum"], ["pooled"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["pooled", "wy"], ["y"]),
    ]
    weights = _weights(3, table=(50, 16), wq=(16, 16), wk=(16, 16), wv=(16, 16), wy=(16, 4))
    return _model(nodes, {"tokens": (INT, [1, "T"])}, {"y": (FLOAT, [1, 4])}, [*weights, scale])


def branching() -> bytes:
    """An If whose branches have weights of their own, and a Loop that adds up."""

    def branch(name: str, seed: int) -> Any:
        weights = _weights(seed, **{f"w{name}": (4, 4)})
        node = helper.make_node("MatMul", ["x", f"w{name}"], [f"y{name}"])
        output = helper.make_tensor_value_info(f"y{name}", FLOAT, [1, 4])
        return helper.make_graph([node], name, [], [output], weights)

    body = helper.make_graph(
        [
            helper.make_node("Add", ["sum", "chosen"], ["more"]),
            helper.make_node("Identity", ["going"], ["on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", INT, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", FLOAT, [1, 4]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("more", FLOAT, [1, 4]),
        ],
    )
    nodes = [
        helper.make_node("If", ["left"], ["chosen"], then_branch=branch("a", 4), else_branch=branch("b", 5)),
        helper.make_node("Loop", ["times", "", "x"], ["y"], body=body),
    ]
    inputs = {"x": (FLOAT, [1, 4]), "left": (TensorProto.BOOL, []), "times": (INT, [])}
    return _model(nodes, inputs, {"y": (FLOAT, [1, 4])})


def of_words() -> bytes:
    """Text to whole numbers, with nothing that has weights."""
    encode = helper.make_node(
        "LabelEncoder",
        ["word"],
        ["number"],
        domain="ai.onnx.ml",
        keys_strings=["ok", "scratch"],
        values_int64s=[1, 2],
        default_int64=0,
    )
    return _model([encode], {"word": (TEXT, ["N"])}, {"number": (INT, ["N"])}, ai_onnx_ml=2)


def of_many() -> bytes:
    """Two inputs, two outputs."""
    nodes = [
        helper.make_node("MatMul", ["a", "w"], ["wa"]),
        helper.make_node("Add", ["wa", "b"], ["sum"]),
        helper.make_node("ArgMax", ["sum"], ["best"], axis=1, keepdims=0),
    ]
    inputs = {"a": (FLOAT, ["N", 8]), "b": (FLOAT, ["N", 6])}
    outputs = {"sum": (FLOAT, ["N", 6]), "best": (INT, ["N"])}
    return _model(nodes, inputs, outputs, _weights(6, w=(8, 6)))


def of_four() -> bytes:
    """A batch of exactly four."""
    nodes = [helper.make_node("Gemm", ["x", "w"], ["h"]), helper.make_node("Tanh", ["h"], ["y"])]
    return _model(nodes, {"x": (FLOAT, [4, 8])}, {"y": (FLOAT, [4, 5])}, _weights(7, w=(8, 5)))


def quantized_before(directory: Path) -> bytes:
    """One that came with weights of eight bits."""
    source, target = directory / "source.onnx", directory / "quantized.onnx"
    source.write_bytes(of_four())
    quantization.quantize_dynamic(str(source), str(target))
    return target.read_bytes()


def _floats(**shapes: Sequence[int]) -> Draw:
    return lambda draw: {name: draw.standard_normal(s).astype(np.float32) for name, s in shapes.items()}


DRAWS: Dict[str, Draw] = {
    "convolutional": _floats(x=(1, 1, 8, 8)),
    "recurrent": lambda draw: _floats(x=(int(draw.integers(2, 9)), 1, 8))(draw),
    "attentive": lambda draw: {"tokens": draw.integers(0, 50, (1, int(draw.integers(2, 9))))},
    "branching": lambda draw: {
        **_floats(x=(1, 4))(draw),
        "left": np.array(bool(draw.integers(0, 2))),
        "times": np.array(draw.integers(1, 4), np.int64),
    },
    "of_words": lambda draw: {
        "word": np.array(draw.choice(["ok", "scratch", "dent"], 8).tolist(), np.object_)
    },
    "of_many": _floats(a=(1, 8), b=(1, 6)),
    "of_four": _floats(x=(4, 8)),
    "quantized_before": _floats(x=(4, 8)),
}


def model(kind: str, directory: Path) -> bytes:
    """One of the kinds in DRAWS."""
    if kind == "quantized_before":
        return quantized_before(directory)
    makes: Dict[str, Callable[[], bytes]] = {
        made.__name__: made
        for made in (convolutional, recurrent, attentive, branching, of_words, of_many, of_four)
    }
    return makes[kind]()


def request(feeds: Feeds) -> bytes:
    """What a client sends."""
    inputs = [
        {"name": n, "datatype": datatype_of(a), "shape": list(a.shape), "data": a.ravel().tolist()}
        for n, a in feeds.items()
    ]
    return json.dumps({"inputs": inputs}).encode()


def zoo_release(paths: Paths, kind: str, recipe: Recipe, required: float = 0.9) -> Release:
    """A fetched release whose samples expect what the model itself answers."""
    made = model(kind, paths.root)
    session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    draw = np.random.default_rng(8)

    def samples(count: int, expected: bool = True) -> Tuple[Sample, ...]:
        found = []
        while len(found) < count:
            feeds = DRAWS[kind](draw)
            blob = put(paths, request(feeds))
            answers = dict(zip(names, session.run(names, feeds)))
            expect = {name: answer.ravel().tolist() for name, answer in answers.items()}
            found.append(Sample(blob.sha256, blob.size, expect if expected else None))
        return tuple(found)

    split = put_model(paths, made)
    return Release(
        name=kind.replace("_", "-"),
        version="1.0.0",
        description="Of the zoo",
        model=split.graph,
        tensors=split.tensors,
        labels=None,
        pipeline=Pipeline((), ()),
        sets=Sets(calibration=samples(4, False), selection=samples(6), golden=samples(6)),
        recipes={"raspberry_pi": recipe},
        gates={"agreement": required},
    )


def operators(data: bytes) -> List[str]:
    """Of a model and of its subgraphs."""

    def walk(graph: Any) -> List[str]:
        found = []
        for node in graph.node:
            found.append(node.op_type)
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    found += walk(attribute.g)
        return found

    return walk(onnx.load_model_from_string(data).graph)
