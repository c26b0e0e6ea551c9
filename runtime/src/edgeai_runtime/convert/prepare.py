"""Make a source model fit for conversion: checked, at an operator set the tools handle, folded."""

from __future__ import annotations

import contextlib
from pathlib import Path

import onnx
from onnx import version_converter
from onnx.external_data_helper import load_external_data_for_model
from onnxruntime.quantization.shape_inference import quant_pre_process

from edgeai_runtime.errors import ConvertError

# Per-channel weights exist from opset 13: quantizing below it writes a graph that does not load.
LOWEST_QUANTIZABLE_OPSET = 13
LIFTED_OPSET = 17
# The oldest onnxruntime in a fleet (1.19, the last for Python 3.8) reads no more than these.
HIGHEST_OPSET = 21
HIGHEST_IR = 10

_EXPORT = f"export the model with an opset from {LOWEST_QUANTIZABLE_OPSET} to {HIGHEST_OPSET}"


def prepare(source: Path, tensors: Path, target: Path, name: str, for_quantization: bool) -> None:
    """Write a checked copy of `source` to `target`, in one file; folded, and with shapes, where that can be.

    Tensors that are external data are read where they lie, below the directory `tensors`: onnx refuses
    links to them beside the model. `name` stands for the model in errors. Weights in Constant nodes become
    initializers on the way.
    Raises ConvertError when the file is damaged or its operator set cannot be converted.
    """
    model = _at_operator_set(_load(source, tensors, name), name, for_quantization)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"  # the quantizer excludes nodes by name
    lifted = target.with_name("lifted.onnx")
    onnx.save(model, str(lifted))
    del model
    with contextlib.suppress(Exception):  # onnx and onnxruntime raise many kinds; each means the same here
        quant_pre_process(str(lifted), str(target), skip_symbolic_shape=True)
        lifted.unlink()
        return
    lifted.replace(target)  # as it came: whoever needs its shapes says so


def finish(path: Path, source: Path) -> None:
    """Give a converted model the source's metadata and a header every onnxruntime of a fleet reads."""
    model = onnx.load(str(path))
    metadata = onnx.load(str(source), load_external_data=False).metadata_props
    del model.metadata_props[:]
    model.metadata_props.extend(metadata)
    model.ir_version = min(model.ir_version, HIGHEST_IR)
    # onnxruntime declares every domain it knows; an older one refuses versions of those it does not.
    used = (
        {node.domain for node in model.graph.node} | {function.domain for function in model.functions} | {""}
    )
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.save(model, str(path))


def first_line(error: BaseException) -> str:
    """An engine's error as one short line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300].rstrip(".")


def _load(source: Path, tensors: Path, name: str) -> onnx.ModelProto:
    try:
        model = onnx.load(str(source), load_external_data=False)
        load_external_data_for_model(model, str(tensors))
    except Exception as error:  # protobuf's errors share no base with the others
        raise _damaged(name, first_line(error)) from error
    if not model.graph.node:
        raise _damaged(name, "its graph is empty")
    if _operator_set(model) > onnx.defs.onnx_opset_version():
        raise ConvertError(
            f"{name}: its opset {_operator_set(model)} is newer than this device knows; {_EXPORT}."
        )
    model.ir_version = min(model.ir_version, HIGHEST_IR)
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise _damaged(name, first_line(error)) from error
    return model


def _damaged(name: str, why: str) -> ConvertError:
    return ConvertError(f"{name}: the file is no complete ONNX model ({why}); export it again.")


def _operator_set(model: onnx.ModelProto) -> int:
    """The version of the standard operators, 0 for a model without any."""
    return next((int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def _at_operator_set(model: onnx.ModelProto, name: str, for_quantization: bool) -> onnx.ModelProto:
    found = _operator_set(model)
    if found > HIGHEST_OPSET:
        wanted = HIGHEST_OPSET
    elif for_quantization and found < LOWEST_QUANTIZABLE_OPSET:
        wanted = LIFTED_OPSET
    else:
        return model
    try:
        return version_converter.convert_version(model, wanted)
    except Exception as error:  # the converter raises RuntimeError, ValueError and its own ConvertError
        raise ConvertError(
            f"{name}: its opset {found} cannot be converted to {wanted} ({first_line(error)}); {_EXPORT}."
        ) from error
