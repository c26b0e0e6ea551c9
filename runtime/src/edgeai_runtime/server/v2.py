# NOTE to helper "serving": the lead wrote this while you were silent (12:30); it may have replaced yours.
# You own it again: keep or rewrite, and remove this note.
"""Open Inference Protocol V2: request bodies to tensors, tensors to answers.

JSON tensors, and on input the binary tensor extension (https://github.com/kserve/open-inference-protocol):
the body begins with JSON of Inference-Header-Content-Length bytes, the inputs' raw bytes follow in order.
"""

from __future__ import annotations

import json
import math
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.backends.datatypes import TO_NUMPY, datatype_of
from edgeai_runtime.server.messages import Refused, Request, Response, json_response
from edgeai_runtime.serving.model import Model

IMAGES = ("image/png", "image/jpeg")
HEADER_LENGTH = "inference-header-content-length"


class InferCall(NamedTuple):
    """An infer request: tensors by input name, or the bytes of one image."""

    id: Optional[str]
    feeds: Optional[Tensors]
    image: Optional[bytes]
    outputs: Sequence[str]  # wanted by name; all when empty


def read_call(request: Request) -> InferCall:
    """What an infer request asks for; raises Refused."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind in IMAGES:
        if not request.body:
            raise Refused(400, "The body is empty; send the image's bytes.")
        return InferCall(None, None, request.body, ())
    header, binary = _split(request)
    table = _parse(header)
    id_ = table.get("id")
    inputs = _list_of_tables(table, "inputs")
    if not inputs or (id_ is not None and not isinstance(id_, str)):
        raise Refused(400, "The request needs 'inputs', a list with one or more tensors, and a text as 'id'.")
    feeds: Tensors = {}
    for entry in inputs:
        name, array, binary = _tensor(entry, binary)
        feeds[name] = array
    if binary:
        raise Refused(400, f"{len(binary)} bytes are left behind the last binary input; correct the sizes.")
    wanted = [str(entry.get("name")) for entry in _list_of_tables(table, "outputs")]
    return InferCall(id_, feeds, None, wanted)


def answer(model: Model, call: InferCall, outputs: Tensors) -> Response:
    """The V2 answer in JSON; raises Refused for an output the model does not have."""
    for name in call.outputs:
        if name not in outputs:
            raise Refused(400, f"{model.name} has no output '{name}'; it has {', '.join(outputs)}.")
    value: Dict[str, Any] = {"model_name": model.name, "model_version": model.version}
    if call.id is not None:
        value["id"] = call.id
    value["outputs"] = [_output(name, outputs[name]) for name in call.outputs or outputs]
    return json_response(value)


def describe(model: Model) -> Dict[str, Any]:
    """The model's metadata."""
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": f"onnx_{model.engine}" if model.engine == "onnxruntime" else model.engine,
        "inputs": [{"name": s.name, "datatype": s.datatype, "shape": list(s.shape)} for s in model.inputs],
        "outputs": [{"name": s.name, "datatype": s.datatype, "shape": list(s.shape)} for s in model.outputs],
    }


def _split(request: Request) -> tuple[bytes, bytes]:
    length = request.headers.get(HEADER_LENGTH)
    if length is None:
        return request.body, b""
    if not length.isdigit() or int(length) > len(request.body):
        raise Refused(
            400, f"Inference-Header-Content-Length is '{length}', the body has {len(request.body)} bytes."
        )
    return request.body[: int(length)], request.body[int(length) :]


def _parse(header: bytes) -> Dict[str, Any]:
    try:
        table = json.loads(header)
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise Refused(
            400, "The body is no JSON object; send V2 JSON, or an image as image/png or image/jpeg."
        )
    return table


def _list_of_tables(table: Mapping[str, Any], key: str) -> List[Dict[str, Any]]:
    entries = table.get(key) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Refused(400, f"'{key}' is expected to be a list of objects.")
    return entries


def _tensor(entry: Mapping[str, Any], binary: bytes) -> tuple[str, np.ndarray[Any, Any], bytes]:
    """One input and what is left of the binary part."""
    name, datatype, shape = entry.get("name"), entry.get("datatype"), entry.get("shape")
    if not isinstance(name, str) or datatype not in TO_NUMPY:
        raise Refused(400, f"Each input needs a 'name' and a 'datatype' of {', '.join(TO_NUMPY)}.")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise Refused(400, f"The shape of '{name}' is {shape!r}, expected a list of whole numbers.")
    count = math.prod(shape)
    parameters = entry.get("parameters") or {}
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    dtype = TO_NUMPY[datatype]
    if size is not None:
        if type(size) is not int or datatype == "BYTES" or not 0 <= size <= len(binary):
            raise Refused(400, f"'{name}' has no usable binary_data_size ({size!r}).")
        if size != count * dtype.itemsize:
            raise Refused(
                400, f"'{name}' brings {size} bytes, {datatype} {shape} takes {count * dtype.itemsize}."
            )
        return name, np.frombuffer(binary[:size], dtype).reshape(shape), binary[size:]
    try:
        array = np.array(entry.get("data"), dtype=dtype).reshape(-1)
    except (ValueError, TypeError, OverflowError):
        raise Refused(400, f"The data of '{name}' are not {datatype} values.") from None
    if array.size != count:
        raise Refused(400, f"'{name}' brings {array.size} values, its shape {shape} takes {count}.")
    return name, array.reshape(shape), binary


def _output(name: str, array: np.ndarray[Any, Any]) -> Dict[str, Any]:
    flat = array.reshape(-1).tolist()
    # JSON knows no NaN and no infinity.
    data = [None if isinstance(v, float) and not math.isfinite(v) else v for v in flat]
    return {"name": name, "datatype": datatype_of(array), "shape": list(array.shape), "data": data}
